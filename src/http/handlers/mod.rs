//! Handlers: each takes the fields out, makes one call below, and answers.

mod api_keys;
mod authorize;
mod connections;
mod imports;
mod integrations;
mod providers;
mod sessions;
mod sign_up;
mod tenant;
mod tokens;

use super::call::{Answer, Call};
use super::door::{Handler, asking, known, open};
use super::pages;
use super::routes::RouteName;
use crate::domain::Refusal;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use serde::{Deserialize, Serialize};
use url::Url;

/// What answers a route. A route without a line here does not compile.
pub(super) fn of(name: RouteName) -> Handler {
    match name {
        RouteName::SignUp => open(sign_up::sign_up),
        RouteName::ShowVerification => open(sign_up::show),
        RouteName::VerifyEmail => open(sign_up::verify),
        RouteName::CreateApiKey => known(api_keys::create),
        RouteName::ListApiKeys => known(api_keys::list),
        RouteName::ShowApiKey => known(api_keys::show),
        RouteName::RevokeApiKey => known(api_keys::revoke),
        RouteName::EnableProvider => known(integrations::enable),
        RouteName::BeginAuthorization => known(authorize::begin),
        RouteName::OpenAuthorization => open(authorize::open),
        RouteName::Callback => open(authorize::callback),
        RouteName::CompleteAuthorization => known(authorize::complete),
        RouteName::GetAccessToken => asking(tokens::get_access_token),
        RouteName::ShowSession => known(sessions::show),
        RouteName::ImportConnection => known(imports::import),
        RouteName::ListConnections => known(connections::list),
        RouteName::ShowConnection => known(connections::show),
        RouteName::RefreshConnection => known(imports::refresh),
        RouteName::DeleteConnection => known(connections::delete),
        RouteName::ListIntegrations => known(integrations::list),
        RouteName::ShowIntegration => known(integrations::show),
        RouteName::ChangeIntegration => known(integrations::change),
        RouteName::RemoveIntegration => known(integrations::remove),
        RouteName::ShowTenant => known(tenant::show),
        RouteName::ChangeTenant => known(tenant::change),
        RouteName::DeleteTenant => known(tenant::delete),
        RouteName::ListProviders => open(providers::list),
        RouteName::ShowProvider => open(providers::show),
        RouteName::Style => open(style),
    }
}

async fn style(_: Call) -> Answer {
    Ok(pages::style())
}

/// A body without fields of its own.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

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
