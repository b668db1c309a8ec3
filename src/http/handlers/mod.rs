//! Handlers: each takes the fields out, makes one call below, and answers.

mod api_keys;
mod audit;
mod authorize;
mod connections;
mod integrations;
mod providers;
mod sign_up;
mod tokens;

use super::call::{Answer, Call};
use super::door::{Handler, asking, known, open};
use super::pages;
use super::routes::RouteName;
use crate::domain::Refusal;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use serde::Serialize;
use url::Url;

/// What answers a route. A route without a line here does not compile.
pub(super) fn of(name: RouteName) -> Handler {
    match name {
        RouteName::SignUp => open(sign_up::sign_up),
        RouteName::ShowVerification => open(sign_up::show),
        RouteName::VerifyEmail => open(sign_up::verify),
        RouteName::CreateApiKey => known(api_keys::create),
        RouteName::ListApiKeys => known(api_keys::list),
        RouteName::RevokeApiKey => known(api_keys::revoke),
        RouteName::EnableProvider => known(integrations::enable),
        RouteName::BeginAuthorization => known(authorize::begin),
        RouteName::OpenAuthorization => open(authorize::open),
        RouteName::Callback => open(authorize::callback),
        RouteName::CompleteAuthorization => known(authorize::complete),
        RouteName::GetAccessToken => asking(tokens::get_access_token),
        RouteName::ListConnections => known(connections::list),
        RouteName::ShowConnection => known(connections::show),
        RouteName::DeleteConnection => known(connections::delete),
        RouteName::ListAudit => known(audit::list),
        RouteName::ListProviders => open(providers::list),
        RouteName::ShowProvider => open(providers::show),
        RouteName::Style => open(style),
    }
}

async fn style(_: Call) -> Answer {
    Ok(pages::style())
}

/// A page of a list.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

fn json(status: StatusCode, answer: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(answer).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Refusal::Internal
    })?;
    Ok(HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// On to there, with `GET` (RFC 9110 section 15.4.4).
fn see_other(url: &Url) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, url.as_str())).finish()
}
