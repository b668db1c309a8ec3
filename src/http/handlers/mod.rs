//! Handlers: each takes the fields out, makes one call below, and answers.

mod api_keys;
mod audit;
mod authorize;
mod connections;
mod events;
mod imports;
mod integrations;
mod passwords;
mod providers;
mod sessions;
mod sign_up;
mod standing;
mod tenant;
mod tokens;

use super::body::Limit;
use super::call::{Answer, Call};
use super::door::{Handler, asking, known, open};
use super::openapi::{self, Description, Tag};
use super::pages;
use super::routes::RouteName;
use crate::domain::Refusal;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

/// What answers a route. A route without a line here does not compile.
pub(super) fn of(name: RouteName) -> Handler {
    match name {
        RouteName::SignUp => open(sign_up::sign_up),
        RouteName::ShowVerification => open(sign_up::show),
        RouteName::VerifyEmail => open(sign_up::verify),
        RouteName::ForgotPassword => open(passwords::forgot),
        RouteName::ShowPasswordReset => open(passwords::show),
        RouteName::ResetPassword => open(passwords::reset),
        RouteName::CreateApiKey => known(api_keys::create),
        RouteName::ListApiKeys => known(api_keys::list),
        RouteName::ShowApiKey => known(api_keys::show),
        RouteName::RevokeApiKey => known(api_keys::revoke),
        RouteName::EnableProvider => known(integrations::enable),
        RouteName::BeginAuthorization => known(authorize::begin),
        RouteName::OpenAuthorization => open(authorize::open),
        RouteName::StartAuthorization => open(authorize::start),
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
        RouteName::ListAudit => known(audit::list),
        RouteName::ListEvents => known(events::list),
        RouteName::ListProviders => open(providers::list),
        RouteName::ShowProvider => open(providers::show),
        RouteName::Document => open(document),
        RouteName::Style => open(style),
    }
}

/// What a route says of itself in the document. A route without a line here does not compile.
pub(super) fn described(name: RouteName) -> Description {
    match name {
        RouteName::SignUp => sign_up::sign_up_described(),
        RouteName::ShowVerification => sign_up::show_described(),
        RouteName::VerifyEmail => sign_up::verify_described(),
        RouteName::ForgotPassword => passwords::forgot_described(),
        RouteName::ShowPasswordReset => passwords::show_described(),
        RouteName::ResetPassword => passwords::reset_described(),
        RouteName::CreateApiKey => api_keys::create_described(),
        RouteName::ListApiKeys => api_keys::list_described(),
        RouteName::RevokeApiKey => api_keys::revoke_described(),
        RouteName::EnableProvider => integrations::enable_described(),
        RouteName::BeginAuthorization => authorize::begin_described(),
        RouteName::OpenAuthorization => authorize::open_described(),
        RouteName::StartAuthorization => authorize::start_described(),
        RouteName::Callback => authorize::callback_described(),
        RouteName::CompleteAuthorization => authorize::complete_described(),
        RouteName::GetAccessToken => tokens::described(),
        RouteName::ListConnections => connections::list_described(),
        RouteName::ShowConnection => connections::show_described(),
        RouteName::DeleteConnection => connections::delete_described(),
        RouteName::ListAudit => audit::list_described(),
        RouteName::ListEvents => events::list_described(),
        RouteName::ListProviders => providers::list_described(),
        RouteName::ShowProvider => providers::show_described(),
        RouteName::ShowApiKey => api_keys::show_described(),
        RouteName::ShowSession => sessions::show_described(),
        RouteName::ImportConnection => imports::import_described(),
        RouteName::RefreshConnection => imports::refresh_described(),
        RouteName::ListIntegrations => integrations::list_described(),
        RouteName::ShowIntegration => integrations::show_described(),
        RouteName::ChangeIntegration => integrations::change_described(),
        RouteName::RemoveIntegration => integrations::remove_described(),
        RouteName::ShowTenant => tenant::show_described(),
        RouteName::ChangeTenant => tenant::change_described(),
        RouteName::DeleteTenant => tenant::delete_described(),
        RouteName::Document => document_described(),
        RouteName::Style => style_described(),
    }
}

/// `GET /openapi.json`: the same until the program is another one, so who has it asks by its tag (RFC 9110 section 13.1.2).
async fn document(call: Call) -> Answer {
    let written = openapi::written();
    let known = call.header(&IF_NONE_MATCH).is_some_and(|tags| tags == "*" || tags.contains(&written.etag));
    let mut answer = HttpResponse::build(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    answer.insert_header((ETAG, written.etag.as_str())).insert_header((CACHE_CONTROL, "no-cache"));
    if known {
        return Ok(answer.finish());
    }
    Ok(answer.insert_header((CONTENT_TYPE, "application/json")).body(written.body.clone()))
}

fn document_described() -> Description {
    Description::new(Tag::Pages, "Read this document")
        .header("If-None-Match", "The tag of a document you have.")
        .object("An OpenAPI 3.1 document.")
        .empty(304, "You have it already.")
        .with_header("ETag", "The document's tag.")
}

fn style_described() -> Description {
    Description::new(Tag::Pages, "Read the style sheet of the pages").text("A style sheet.", "text/css")
}

async fn style(_: Call) -> Answer {
    Ok(pages::style())
}

/// A body without fields of its own.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Which page of a list, where nothing else can be asked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Paging {
    /// How many items a page has at most.
    #[serde(default)]
    limit: Limit,
    /// The `next_cursor` of an earlier answer.
    #[schema(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// A page of a list.
#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

fn json(status: StatusCode, answer: &impl Serialize) -> Answer {
    // Nearly every answer fits into the first piece.
    let mut body = Vec::with_capacity(1024);
    serde_json::to_writer(&mut body, answer).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Refusal::Internal
    })?;
    Ok(HttpResponse::build(status).insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// On to there, with `GET` (RFC 9110 section 15.4.4).
fn see_other(url: &Url) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, url.as_str())).finish()
}
