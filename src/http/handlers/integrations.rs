//! Enabling a provider.

use super::{Answer, Call, json};
use crate::accounts::Caller;
use crate::broker::{Enable, Enabled};
use crate::domain::{ClientSecret, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::Several;
use crate::vault::Finish;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnableFields {
    provider: ProviderId,
    client_id: String,
    client_secret: Option<ClientSecret>,
    #[serde(default)]
    scopes: Scopes,
    redirect_url: Several,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    finish: Option<String>,
}

#[derive(Serialize)]
struct IntegrationAnswer<'a> {
    provider: &'a ProviderId,
    client_id: &'a str,
    scopes: &'a Scopes,
    redirect_urls: &'a [String],
    variables: &'a BTreeMap<String, String>,
    finish: &'static str,
    /// To be registered at the provider.
    callback_url: &'a str,
    created_at: Timestamp,
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
