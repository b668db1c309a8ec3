//! `/authorize`: the request of RFC 6749 section 4.1.1 and RFC 7636 section 4.3, the page, and the person's decision.

use super::SCOPES;
use super::answer::{Answer, Content, OAuthError};
use super::bounded::Bounded;
use super::fault::Endpoint;
use super::form::Form;
use super::grants::Consent;
use super::pages;
use super::server::Site;
use crate::crypto::hash;
use crate::domain::{Scopes, Ticket, Timestamp};
use crate::ports::ChanceExt;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use std::time::Duration;
use url::{Host, Url};

/// Pages that are open, by the SHA-256 of the ticket in their form.
pub(super) type Visits = Bounded<[u8; 32], Visit>;

/// One open page.
pub(super) struct Visit {
    asked: Asked,
    /// The SHA-256 of the cookie of the browser that opened it: the form is good from there only.
    browser: [u8; 32],
    expires_at: Timestamp,
}

const PATIENCE: Duration = Duration::from_mins(10);
const COOKIE: &str = "sandbox-browser";
/// Characters of a user name.
const LONGEST_NAME: usize = 64;

#[derive(Clone)]
struct Asked {
    back: Back,
    client_id: String,
    scopes: Scopes,
    challenge: String,
}

/// The way back to the client.
#[derive(Clone)]
struct Back {
    /// As it came; the exchange must repeat it byte for byte.
    text: String,
    url: Url,
    state: Option<String>,
}

impl Back {
    fn with(&self, issuer: &str, name: &str, value: &str) -> Answer {
        let mut url = self.url.clone();
        url.query_pairs_mut()
            .append_pair(name, value)
            .extend_pairs(self.state.iter().map(|state| ("state", state)))
            .append_pair("iss", issuer);
        Answer::redirect(url)
    }
}

/// `GET /authorize`. What is wrong before the way back is known is said on a page, the rest to the client (section 4.1.2.1).
pub(super) async fn open(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let query = Form::parse(request.query_string().as_bytes());
    let asked = way_back(&query, &site).and_then(|(client_id, back)| {
        read(&query, client_id, &back).map_err(|error| back.with(&site.issuer, "error", error.code))
    });
    let asked = match asked {
        Ok(asked) => asked,
        Err(answer) => return answer.respond(),
    };
    let browser = request.cookie(COOKIE).map(|cookie| Ticket::new(cookie.value()));
    let (browser, ticket) = site.control.with(|state, moment| {
        let browser = browser.unwrap_or_else(|| moment.chance.ticket());
        let ticket = moment.chance.ticket();
        let visit = Visit {
            asked: asked.clone(),
            browser: hash::sha256(browser.expose().as_bytes()),
            expires_at: moment.now.plus(PATIENCE),
        };
        state.visits.insert(hash::sha256(ticket.expose().as_bytes()), visit);
        (browser, ticket)
    });
    let html = pages::consent(&asked.client_id, &asked.back.url, &asked.scopes, &ticket);
    // Lax, not Strict: coming from the client, a browser that has one brings it along, and two open pages share it.
    let cookie = Cookie::build(COOKIE, browser.expose())
        .path("/authorize")
        .http_only(true)
        .secure(site.issuer.starts_with("https:"))
        .same_site(SameSite::Lax)
        .finish();
    Answer::new(200, Content::Html(html)).header(header::SET_COOKIE, &cookie.to_string()).respond()
}

/// `POST /authorize`: the decision. Its faults are those of the authorization response.
pub(super) async fn decide(site: web::Data<Site>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let strike = site.control.strike(Endpoint::Authorize, None);
    strike.play(|| decision(&site, &request, &body).unwrap_or_else(|answer| answer)).await
}

fn decision(site: &Site, request: &HttpRequest, body: &[u8]) -> Result<Answer, Answer> {
    let form = Form::of(request, body).ok_or_else(|| stop("This is not the form of this page."))?;
    let ticket = hash::sha256(form.get("request").unwrap_or_default().as_bytes());
    let browser = request.cookie(COOKIE).map(|cookie| hash::sha256(cookie.value().as_bytes()));
    site.control.with(|state, moment| {
        let visit = state.visits.get(&ticket).filter(|visit| moment.now < visit.expires_at);
        let visit = visit.ok_or_else(|| stop("This page was used already, or is too old. Start again."))?;
        if !browser.is_some_and(|browser| hash::same(&browser, &visit.browser)) {
            return Err(stop("This page was opened in another browser. Start again."));
        }
        let asked = visit.asked.clone();
        let user = form.get("user").unwrap_or_default().trim();
        let chosen: Scopes = asked.scopes.iter().filter(|s| form.all("scope").any(|t| t == *s)).collect();
        let allowed = form.get("decision") == Some("allow") && !chosen.is_empty();
        if allowed && (user.is_empty() || user.chars().count() > LONGEST_NAME) {
            return Err(stop("Go back and give a name of 1 to 64 characters."));
        }
        state.visits.remove(&ticket);
        if !allowed {
            return Ok(asked.back.with(&site.issuer, "error", "access_denied"));
        }
        let consent = Consent {
            client_id: asked.client_id,
            redirect_uri: asked.back.text.clone(),
            challenge: asked.challenge,
            scopes: chosen,
            user: user.to_owned(),
        };
        let code = state.grants.agree(consent, moment);
        Ok(asked.back.with(&site.issuer, "code", code.expose()))
    })
}

/// The client and the way back to it, or the page that says why there is none.
fn way_back(query: &Form, site: &Site) -> Result<(String, Back), Answer> {
    if query.doubled("client_id") || query.doubled("redirect_uri") {
        return Err(stop("client_id or redirect_uri stands in the link more than once."));
    }
    let client_id = query.get("client_id").ok_or_else(|| stop("The link names no client_id."))?;
    if !site.control.with(|state, _| state.clients.knows(client_id)) {
        return Err(stop("The client_id in the link is not registered here."));
    }
    let text = query.get("redirect_uri").ok_or_else(|| stop("The link names no redirect_uri."))?;
    let url = Url::parse(text).ok().filter(acceptable);
    let url = url.ok_or_else(|| {
        stop("The redirect_uri must be https, or http on loopback, and have no fragment and no user name.")
    })?;
    let state = query.get("state").map(str::to_owned);
    Ok((client_id.to_owned(), Back { text: text.to_owned(), url, state }))
}

fn acceptable(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    secure && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()
}

fn read(query: &Form, client_id: String, back: &Back) -> Result<Asked, OAuthError> {
    let bad = |why| Err(OAuthError::new("invalid_request", why));
    if query.any_doubled() {
        return bad("a parameter stands there more than once");
    }
    match query.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(OAuthError::new("unsupported_response_type", "only code is")),
        None => return bad("response_type is missing"),
    }
    // A method left out means plain (RFC 7636 section 4.3), which is not spoken here.
    if query.get("code_challenge_method") != Some("S256") {
        return bad("PKCE is required: code_challenge_method must be S256");
    }
    let is_base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let challenge = query.get("code_challenge").filter(|c| c.len() == 43 && c.bytes().all(is_base64url));
    let Some(challenge) = challenge else { return bad("code_challenge must be a SHA-256 in base64url") };
    let [default, ..] = SCOPES;
    let scopes = Scopes::split(query.get("scope").unwrap_or(default), &[' ']);
    if scopes.iter().any(|scope| !SCOPES.contains(&scope)) {
        return Err(OAuthError::new("invalid_scope", "one of the scopes does not exist"));
    }
    Ok(Asked { back: back.clone(), client_id, scopes, challenge: challenge.to_owned() })
}

/// A page that ends the journey here.
fn stop(why: &str) -> Answer {
    Answer::new(400, Content::Html(pages::stop(why)))
}
