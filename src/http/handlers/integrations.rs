//! Enabling a provider.

use super::{Answer, Call, Description, Tag, json};
use crate::accounts::Caller;
use crate::broker::{Enable, Enabled};
use crate::domain::{ClientSecret, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::Several;
use crate::http::openapi::{FinishWord, GivenScopes, ReturnUrls};
use crate::vault::Finish;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Your own registration at a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EnableFields {
    /// Which provider.
    provider: ProviderId,
    /// As the provider gave it to you.
    #[schema(min_length = 1, max_length = 2048, pattern = r"^[^\x00-\x1F\x7F-\x9F]*$")]
    client_id: String,
    /// The same; required where the provider's `needs_secret` is true.
    client_secret: Option<ClientSecret>,
    /// What end users are asked for.
    #[schema(value_type = GivenScopes, required = false)]
    #[serde(default)]
    scopes: Scopes,
    /// Where end users return to in your product.
    #[schema(value_type = ReturnUrls)]
    redirect_url: Several,
    /// Those that the provider asks at `integration`.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// Who ends an authorization; absent: your backend.
    #[schema(value_type = Option<FinishWord>)]
    finish: Option<String>,
}

/// A provider that you have enabled.
#[derive(Serialize, ToSchema)]
#[schema(as = Integration)]
struct IntegrationAnswer<'a> {
    /// Which provider.
    provider: &'a ProviderId,
    /// Your client id there.
    client_id: &'a str,
    /// What end users are asked for.
    scopes: &'a Scopes,
    /// Where end users may return to in your product.
    redirect_urls: &'a [String],
    /// Values of the provider's variables.
    variables: &'a BTreeMap<String, String>,
    /// Who ends an authorization.
    #[schema(value_type = FinishWord)]
    finish: &'static str,
    /// To be registered at the provider.
    #[schema(format = "uri")]
    callback_url: &'a str,
    /// When the provider was first enabled.
    created_at: Timestamp,
    /// When this was last replaced.
    updated_at: Timestamp,
}

fn finish(word: Option<&str>) -> Result<Finish, Refusal> {
    let Some(word) = word else { return Ok(Finish::Backend) };
    Finish::parse(word).ok_or_else(|| Refusal::field("finish", "must be `backend` or `page`"))
}

/// `POST /enable-provider`: 201, or 200 where it replaces.
pub(super) async fn enable(caller: Caller, call: Call) -> Answer {
    let fields: EnableFields = call.fields()?;
    caller.may_use(&fields.provider)?;
    let request = Enable {
        finish: finish(fields.finish.as_deref())?,
        provider: fields.provider,
        client_id: fields.client_id,
        client_secret: fields.client_secret,
        scopes: fields.scopes,
        redirect_urls: fields.redirect_url.0,
        variables: fields.variables,
    };
    let enabled = call.broker().enable(caller.authority(), request).await?;
    let status = if enabled.created { StatusCode::CREATED } else { StatusCode::OK };
    json(status, &answer(&enabled))
}

pub(super) fn enable_described() -> Description {
    Description::new(Tag::Providers, "Enable a provider, or replace what was enabled")
        .detail(
            "A replacement is whole: what you leave out is gone. Register `callback_url` at the provider.",
        )
        .body::<EnableFields>()
        .answers::<IntegrationAnswer>(201, "It is enabled.")
        .answers::<IntegrationAnswer>(200, "It replaces the one before.")
        .refuses([
            Refusal::field("redirect_url", "must be one URL or a list of up to 50"),
            Refusal::NotFound { what: "a provider `slak`".to_owned() },
        ])
}

fn answer(enabled: &Enabled) -> IntegrationAnswer<'_> {
    let integration = &enabled.integration;
    IntegrationAnswer {
        provider: &integration.provider,
        client_id: &integration.client_id,
        scopes: &integration.scopes,
        redirect_urls: &integration.redirect_urls,
        variables: &integration.variables,
        finish: integration.finish.as_str(),
        callback_url: enabled.callback_url.as_str(),
        created_at: integration.created_at,
        updated_at: integration.updated_at,
    }
}
