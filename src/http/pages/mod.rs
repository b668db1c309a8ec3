//! Pages for people: compiled in, everything escaped, no script, nothing inline.

mod passwords;

pub(super) use passwords::{password_was_reset, reset_password};

use super::{headers, problem};
use crate::broker::Asked;
use crate::domain::{ProviderId, Refusal, SessionFault, TenantId, Ticket};
use crate::vault::PendingSignUp;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;

/// The one style sheet.
const STYLE: &str = include_str!("style.css");

#[derive(Template)]
#[template(path = "verify.html")]
struct Verify<'a> {
    product: &'a str,
    address: &'a str,
    token: &'a str,
}

#[derive(Template)]
#[template(path = "verified.html")]
struct Verified<'a> {
    tenant: &'a str,
}

#[derive(Template)]
#[template(path = "connect.html")]
struct Connect<'a> {
    asked: &'a Asked,
    initial: String,
    host: &'a str,
    scopes: Vec<&'a str>,
    id: &'a str,
    ticket: &'a str,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    product: Option<&'a str>,
    initial: String,
    title: &'a str,
    text: &'a str,
    next: &'a str,
    code: &'a str,
    request_id: &'a str,
}

fn page(mut response: HttpResponseBuilder, template: &impl Template) -> HttpResponse {
    // A template without fallible filters renders into memory and cannot fail.
    let text = template.render().unwrap_or_default();
    response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).body(text)
}

/// The style sheet. The same for everybody, so it may be cached.
pub(super) fn style() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/css; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "public, max-age=3600"))
        .body(STYLE)
}

/// The page behind the link of a sign-up mail: a button, because whoever scans mails follows links.
pub(super) fn verify(pending: &PendingSignUp, token: &Ticket) -> HttpResponse {
    let address = masked(pending.email.as_str());
    let template = Verify { product: &pending.product, address: &address, token: token.expose() };
    page(HttpResponse::Ok(), &template)
}

/// What the button leads to.
pub(super) fn verified(tenant: &TenantId) -> HttpResponse {
    page(HttpResponse::Ok(), &Verified { tenant: tenant.as_str() })
}

/// The page that asks an end user before it goes on to the provider.
pub(super) fn connect(asked: &Asked, provider: &ProviderId, ticket: &Ticket) -> HttpResponse {
    let template = Connect {
        asked,
        initial: initial(&asked.product),
        host: asked.leads_to.host_str().unwrap_or_default(),
        scopes: asked.scopes.iter().collect(),
        id: provider.as_str(),
        ticket: ticket.expose(),
    };
    let mut response = page(HttpResponse::Ok(), &template);
    headers::asking(&mut response, &asked.leads_to);
    response
}

/// A refusal, for a person: what happened, what to do, and the code and id that support will ask for.
/// Under the product's name, where this browser may know it.
pub(super) fn refusal(refusal: &Refusal, request_id: &str, product: Option<&str>) -> HttpResponse {
    let (title, text, next) = words(refusal);
    let detail = problem::detail(refusal);
    let text = text.unwrap_or(&detail);
    let initial = initial(product.unwrap_or("Grantkeep"));
    let notice = Notice { product, initial, title, text, next, code: refusal.code(), request_id };
    page(problem::head(refusal), &notice)
}

/// Title, text where the problem's own detail speaks to programs, and what to do next.
fn words(refusal: &Refusal) -> (&'static str, Option<&'static str>, &'static str) {
    const AGAIN: &str = "Go back to where you came from and start connecting again.";
    const LATER: &str = "Nothing is lost. Wait a moment, then try again.";
    match refusal {
        Refusal::SessionRefused(SessionFault::Link) => ("This link is not good any more", None, AGAIN),
        Refusal::SessionRefused(SessionFault::Cookie) => (
            "This is not the browser you started in",
            Some(
                "The connection was begun in another browser, or this one does not keep cookies. It was not made.",
            ),
            AGAIN,
        ),
        Refusal::SessionRefused(SessionFault::Form) => (
            "Please open the link again",
            Some(
                "The page was too old or was opened a second time, or this browser keeps no cookies. Nothing was connected.",
            ),
            "Go back to where the link came from, open it once more, and use the button of the newest page.",
        ),
        Refusal::SessionRefused(_) => ("This cannot go on here", None, AGAIN),
        Refusal::SessionExpired => {
            ("This link is over", Some("The authorization expired, was used, or was given up."), AGAIN)
        }
        Refusal::NotFound { .. } => (
            "This link is not good",
            Some("It is not complete, was used, or is too old."),
            "Ask for a new one where you got it.",
        ),
        Refusal::Conflict { .. } => ("This did not work", None, ""),
        Refusal::StoreUnavailable { .. }
        | Refusal::ProviderUnavailable { .. }
        | Refusal::RefreshHeld { .. }
        | Refusal::Overloaded { .. }
        | Refusal::RateLimited { .. } => {
            ("Not right now", Some("We could not do this at the moment."), LATER)
        }
        Refusal::Internal => ("Something went wrong", Some("The fault is ours, and it was recorded."), LATER),
        _ => ("This did not work", None, AGAIN),
    }
}

/// What stands in the mark beside a name.
fn initial(name: &str) -> String {
    name.chars().find(|letter| letter.is_alphanumeric()).into_iter().flat_map(char::to_uppercase).collect()
}

/// Enough of an address to be known by whom it belongs to.
fn masked(address: &str) -> String {
    let (local, host) = address.rsplit_once('@').unwrap_or((address, ""));
    let first: String = local.chars().take(1).collect();
    format!("{first}***@{host}")
}

#[cfg(test)]
mod contrast;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EmailAddress, Timestamp};
    use actix_web::body::MessageBody;

    fn text(response: HttpResponse) -> String {
        let body = response.into_body().try_into_bytes().unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[test]
    fn everything_is_escaped() {
        let pending = PendingSignUp {
            email: EmailAddress::parse("ada'&@example.com").unwrap(),
            password_hash: "never shown".to_owned(),
            product: "<script>alert(1)</script>".to_owned(),
            created_at: Timestamp::from_millis(0),
        };
        let page = text(verify(&pending, &Ticket::new("\"><b>")));
        assert!(!page.contains("<script") && !page.contains("<b>") && !page.contains("never shown"));
        assert!(page.contains("a***@example.com") && page.contains("&#60;script&#62;"), "{page}");
    }

    #[test]
    fn a_page_shows_the_code_that_a_problem_has() {
        for fault in [SessionFault::State, SessionFault::Cookie, SessionFault::Link] {
            let page = text(refusal(&Refusal::SessionRefused(fault), "req-1", None));
            assert!(page.contains("<code>session_refused</code>") && page.contains("<code>req-1</code>"));
        }
        let expired = refusal(&Refusal::SessionExpired, "req-1", None);
        assert_eq!(expired.status().as_u16(), 410);
        assert!(text(expired).contains("session_expired"));
    }

    #[test]
    fn pages_hold_nothing_inline() {
        let page = text(refusal(&Refusal::field("token", "is missing"), "r", None));
        assert!(!page.contains("style=") && !page.contains("<script") && !page.contains("http://"));
    }
}
