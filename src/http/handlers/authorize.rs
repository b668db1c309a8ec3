//! The journey of an end user: begun by a backend, opened and returned by a browser, completed by the backend.

use super::connections::ConnectionAnswer;
use super::{Answer, Call, Description, Tag, json, pages, see_other};
use crate::accounts::Caller;
use crate::broker::{Arrival, Begin, Complete, Opened, SessionCookie, Start, Way};
use crate::domain::{
    Account, CodeVerifier, EndUserId, ProviderId, Refusal, Scopes, SessionFault, SessionId, TenantId, Ticket,
    Timestamp,
};
use crate::http::openapi::GivenScopes;
use crate::http::origin;
use crate::vault::Slot;
use actix_web::HttpResponse;
use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration as Span;
use utoipa::ToSchema;

/// A session to be begun.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BeginFields {
    /// Whose browser will be sent.
    end_user: EndUserId,
    /// A name for pages.
    #[schema(max_length = 200)]
    end_user_label: Option<String>,
    /// Which of the end user's accounts; absent: the one without a label.
    #[serde(default)]
    account: Account,
    /// Instead of the integration's.
    #[schema(value_type = Option<GivenScopes>)]
    scopes: Option<Scopes>,
    /// Equal, character by character, to one of the integration's; may be left out where there is only one.
    redirect_url: Option<String>,
    /// Those that the provider asks at `authorize`.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// S256 of a verifier of yours (RFC 7636).
    #[schema(min_length = 43, max_length = 43, pattern = "^[A-Za-z0-9_-]{43}$")]
    code_challenge: Option<String>,
}

/// A session that waits for its end user.
#[derive(Serialize, ToSchema)]
#[schema(as = BegunSession)]
struct BegunAnswer<'a> {
    /// Its public id, good for logs.
    session: &'a SessionId,
    /// Where to send the end user's browser. Holds a secret ticket.
    #[schema(format = "uri")]
    authorize_url: &'a str,
    /// Until when it can be completed.
    expires_at: Timestamp,
}

/// What completes a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompleteFields {
    /// As it came back in the browser.
    completion: Ticket,
    /// Who is logged in in that browser, from your own login session and never from the URL.
    end_user: EndUserId,
    /// Where a `code_challenge` was given, its verifier.
    code_verifier: Option<CodeVerifier>,
}

/// The query of an `authorize_url`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by hand: whoever adds parameters to links must not end a journey")]
struct OpenQuery {
    /// The ticket.
    session: Ticket,
}

/// What the provider adds to the callback, by whatever names its file says.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read by hand: a provider adds what it likes")]
struct CallbackQuery {
    /// Which authorization it answers.
    state: Option<String>,
    /// The code, where the end user agreed.
    code: Option<String>,
    /// The provider's error code, where not.
    error: Option<String>,
    /// Who answers (RFC 9207).
    iss: Option<String>,
}

/// `POST /authorize-{provider}`.
pub(super) async fn begin(caller: Caller, call: Call) -> Answer {
    let provider = call.provider("provider")?;
    caller.may_use(&provider)?;
    let fields: BeginFields = call.fields()?;
    let request = Begin {
        slot: Slot { provider, end_user: fields.end_user, account: fields.account },
        label: fields.end_user_label,
        scopes: fields.scopes,
        redirect_url: fields.redirect_url,
        variables: fields.variables,
        code_challenge: fields.code_challenge,
    };
    let begun = call.broker().begin(caller.authority(), request).await?;
    let answer = BegunAnswer {
        session: &begun.session,
        authorize_url: begun.authorize_url.as_str(),
        expires_at: begun.expires_at,
    };
    json(StatusCode::CREATED, &answer)
}

pub(super) fn begin_described() -> Description {
    Description::new(Tag::Connecting, "Begin a session for an end user")
        .detail("Send the end user's browser to `authorize_url` within ten minutes.")
        .path::<ProviderId>("provider", "Which provider, enabled by you.")
        .body::<BeginFields>()
        .answers::<BegunAnswer>(201, "The session.")
        .refuses([
            Refusal::field("redirect_url", "must be one of the integration's"),
            Refusal::NotFound { what: "an integration of that provider".to_owned() },
        ])
}

/// The button of the page that asks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartFields {
    /// The ticket, as it stands in the page.
    session: Ticket,
    /// Shows that the button stood on the page that this browser was shown.
    proof: String,
}

/// `GET /authorize-{provider}?session=…`: on to the provider, with a cookie that the return must bring along; or a page that
/// asks first, with a cookie that its button must bring along.
pub(super) async fn open(call: Call) -> Answer {
    let found = call.loose_query().into_iter().find(|(name, _)| name == "session");
    let ticket = Ticket::new(found.ok_or(Refusal::SessionRefused(SessionFault::Link))?.1);
    let provider = call.provider("provider")?;
    let way = call
        .broker()
        .open(&provider, &ticket, &call.origin())
        .await
        .map_err(|refused| call.refuse(refused))?;
    match way {
        Way::Away(opened) => away(&opened),
        Way::Page(asked) => {
            let page = pages::connect(&asked, &provider, &ticket);
            // Strict: only a page of ours has a button that sends it.
            with_cookie(page, &asked.cookie, SameSite::Strict)
        }
    }
}

/// `POST /authorize-{provider}/start`: the button of that page.
pub(super) async fn start(call: Call) -> Answer {
    let StartFields { session: ticket, proof } = call.fields()?;
    let cookies = call.cookies();
    let cookie = |name: &str| cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let own_site = origin::is_own_page(call.request.headers(), &call.state.origin);
    let origin = call.origin();
    let start = Start { ticket: &ticket, proof: &proof, cookie: &cookie, own_site, origin: &origin };
    let opened = call.broker().start(&call.provider("provider")?, start).await;
    away(&opened.map_err(|refused| call.refuse(refused))?)
}

fn away(opened: &Opened) -> Answer {
    // Lax, not Strict: the return is a navigation that begins at the provider.
    with_cookie(see_other(&opened.location), &opened.cookie, SameSite::Lax)
}

fn with_cookie(mut response: HttpResponse, of: &SessionCookie, same_site: SameSite) -> Answer {
    response.add_cookie(&cookie(of, same_site)).map_err(|error| {
        tracing::error!(%error, "a cookie could not be written");
        Refusal::Internal
    })?;
    Ok(response)
}

pub(super) fn open_described() -> Description {
    Description::new(Tag::Connecting, "Open a session in the end user's browser")
        .detail("May be opened again; the first valid return consumes the session.")
        .path::<ProviderId>("provider", "Which provider.")
        .query::<OpenQuery>()
        .page("A page that asks first, where the integration says `finish = \"page\"`.")
        .sends_on(
            "On to the provider, with a cookie of this opening.",
            "The provider's authorization endpoint.",
        )
        .with_header("Set-Cookie", "Binds the return to this browser; ten minutes.")
        .refuses([
            Refusal::SessionRefused(SessionFault::Link),
            Refusal::NotFound { what: "a provider of that name".to_owned() },
            Refusal::Conflict {
                detail: "The integration or the provider's definition was changed.".to_owned(),
            },
            Refusal::SessionExpired,
            Refusal::IntegrationMisconfigured { error: "no URL comes of its variables".to_owned() },
        ])
}

pub(super) fn start_described() -> Description {
    Description::new(Tag::Connecting, "Go on from the page that asks first")
        .detail("What its button sends.")
        .path::<ProviderId>("provider", "Which provider.")
        .body::<StartFields>()
        .sends_on(
            "On to the provider, with a cookie of this opening.",
            "The provider's authorization endpoint.",
        )
        .with_header("Set-Cookie", "Binds the return to this browser; ten minutes.")
        .refuses([
            Refusal::SessionRefused(SessionFault::Form),
            Refusal::NotFound { what: "a provider of that name".to_owned() },
            Refusal::Conflict {
                detail: "The integration or the provider's definition was changed.".to_owned(),
            },
            Refusal::SessionExpired,
            Refusal::IntegrationMisconfigured { error: "no URL comes of its variables".to_owned() },
        ])
}

fn cookie(of: &SessionCookie, same_site: SameSite) -> Cookie<'_> {
    let age = Duration::try_from(of.max_age).unwrap_or(Duration::ZERO);
    Cookie::build(of.name.as_str(), of.value.expose())
        .path("/")
        .http_only(true)
        .same_site(same_site)
        .secure(of.secure)
        .max_age(age)
        .finish()
}

/// `GET /authorization-success/{tenant}/{provider}`: the return from the provider.
pub(super) async fn callback(call: Call) -> Answer {
    let (query, cookies) = (call.loose_query(), call.cookies());
    let cookie = |name: &str| cookies.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let arrival = Arrival {
        tenant: call.path("tenant"),
        provider: call.path("provider"),
        query: &query,
        cookie: &cookie,
        origin: &call.origin(),
    };
    let next = call.broker().callback(arrival).await.map_err(|refused| call.refuse(refused))?;
    Ok(see_other(&next))
}

pub(super) fn callback_described() -> Description {
    Description::new(Tag::Connecting, "Return from the provider")
        .detail(
            "On to the session's `redirect_url`, with `status=authorized&completion=…`, `status=denied` or \
             `status=failed&code=…`. Without a usable session there is nowhere to go: a page.",
        )
        .path::<TenantId>("tenant", "Whose session it is.")
        .path::<ProviderId>("provider", "Which provider answers.")
        .query::<CallbackQuery>()
        .sends_on("On to the tenant's page.", "The session's `redirect_url` and what became of it.")
        .refuses([Refusal::SessionRefused(SessionFault::State), Refusal::SessionExpired])
}

/// `POST /complete-authorization`.
pub(super) async fn complete(caller: Caller, call: Call) -> Answer {
    let CompleteFields { completion, end_user, code_verifier } = call.fields()?;
    let limits = caller.limits().clone();
    let request = Complete { completion, end_user, code_verifier, limits };
    let connection = call.broker().complete(caller.authority(), request).await?;
    json(StatusCode::CREATED, &ConnectionAnswer::of(&connection, call.now()))
}

pub(super) fn complete_described() -> Description {
    Description::new(Tag::Connecting, "Complete a session by saying whose browser came back")
        .detail("Nothing is exchanged before. It is completed to the end even if you go away meanwhile.")
        .body::<CompleteFields>()
        .answers::<ConnectionAnswer>(201, "The connection.")
        .refuses([
            Refusal::field("end_user", "is missing"),
            Refusal::NotFound { what: "such a completion".to_owned() },
            Refusal::EndUserMismatch,
            Refusal::Conflict { detail: "This session is being completed.".to_owned() },
            Refusal::SessionExpired,
            Refusal::IntegrationMisconfigured { error: "invalid_client".to_owned() },
            Refusal::ProviderRefused { error: "invalid_grant".to_owned() },
            Refusal::ProviderUnavailable { retry_after: Span::from_secs(5) },
        ])
}
