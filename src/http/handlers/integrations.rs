//! Integrations: enabled, listed, read, changed, removed.

use super::{Answer, Call, Page, json};
use crate::accounts::Caller;
use crate::broker::{Change, Enable};
use crate::domain::{ClientSecret, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::{Limit, Several};
use crate::http::cursor;
use crate::vault::{Finish, Integration};
use actix_web::HttpResponse;
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeIntegrationFields {
    /// Another client id at the provider.
    client_id: Option<String>,
    /// Another client secret; the one before stays beside it for a while.
    client_secret: Option<ClientSecret>,
    /// What is asked of end users from now on.
    scopes: Option<Scopes>,
    /// All redirect URLs from now on: one, or a list.
    redirect_url: Option<Several>,
    /// All values for the provider's variables from now on.
    variables: Option<BTreeMap<String, String>>,
    /// Who ends an authorization from now on.
    finish: Option<String>,
    /// Forgets the client secret before; with a new one, the one that it replaces.
    #[serde(default)]
    drop_previous_secret: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

/// An integration as its tenant sees it: everything but its secrets.
#[derive(Serialize)]
struct IntegrationAnswer<'a> {
    provider: &'a ProviderId,
    client_id: &'a str,
    /// Whether one is kept. It is never shown.
    has_client_secret: bool,
    /// The client secret before this one, where it is still tried when the provider refuses the newer.
    previous_client_secret: Option<PreviousAnswer>,
    scopes: &'a Scopes,
    redirect_urls: &'a [String],
    variables: &'a BTreeMap<String, String>,
    finish: &'static str,
    /// To be registered at the provider.
    callback_url: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct PreviousAnswer {
    /// Until when it is kept.
    until: Timestamp,
    /// When the provider last took it in place of the newer one, to the minute; null where it takes the newer one, or was not
    /// asked since the change.
    last_used_at: Option<Timestamp>,
}

fn finish(word: Option<&str>) -> Result<Finish, Refusal> {
    let Some(word) = word else { return Ok(Finish::Backend) };
    Finish::parse(word).ok_or_else(|| {
        Refusal::field("finish", "must be `backend`; this version does not serve another finish yet")
    })
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
    json(status, &answer(&caller, &call, &enabled.integration))
}

fn answer<'a>(caller: &Caller, call: &Call, integration: &'a Integration) -> IntegrationAnswer<'a> {
    let tenant = caller.authority().tenant();
    IntegrationAnswer {
        provider: &integration.provider,
        client_id: &integration.client_id,
        has_client_secret: integration.has_client_secret(),
        previous_client_secret: call
            .broker()
            .previous_secret(integration)
            .map(|known| PreviousAnswer { until: known.until, last_used_at: known.used_at }),
        scopes: &integration.scopes,
        redirect_urls: &integration.redirect_urls,
        variables: &integration.variables,
        finish: integration.finish.as_str(),
        callback_url: call.broker().callback_url(tenant, &integration.provider).to_string(),
        created_at: integration.created_at,
        updated_at: integration.updated_at,
    }
}

/// The provider in the path, if the caller's key is for it.
fn named(caller: &Caller, call: &Call) -> Result<ProviderId, Refusal> {
    let provider = call.provider("provider")?;
    caller.may_use(&provider)?;
    Ok(provider)
}

/// `GET /v1/integrations`. Of a key that is limited to providers: theirs, so a page may have fewer items than its limit.
pub(super) async fn list(caller: Caller, call: Call) -> Answer {
    let ListQuery { limit: Limit(limit), cursor } = call.query()?;
    let after = cursor.as_deref().map(cursor::position).transpose()?;
    let (found, next) = call.broker().list_integrations(caller.authority(), after.as_deref(), limit).await?;
    let visible = found.iter().filter(|integration| caller.may_use(&integration.provider).is_ok());
    let items = visible.map(|integration| answer(&caller, &call, integration)).collect();
    json(StatusCode::OK, &Page { items, next_cursor: next.as_deref().map(cursor::of) })
}

/// `GET /v1/integrations/{provider}`.
pub(super) async fn show(caller: Caller, call: Call) -> Answer {
    let provider = named(&caller, &call)?;
    let integration = call.broker().integration(caller.authority(), &provider).await?;
    json(StatusCode::OK, &answer(&caller, &call, &integration))
}

/// `PATCH /v1/integrations/{provider}`: what is not given stays.
pub(super) async fn change(caller: Caller, call: Call) -> Answer {
    let provider = named(&caller, &call)?;
    let fields: ChangeIntegrationFields = call.fields()?;
    let change = Change {
        client_id: fields.client_id,
        client_secret: fields.client_secret,
        scopes: fields.scopes,
        redirect_urls: fields.redirect_url.map(|Several(urls)| urls),
        variables: fields.variables,
        finish: fields.finish.map(|word| finish(Some(&word))).transpose()?,
        drop_previous_secret: fields.drop_previous_secret,
    };
    let integration = call.broker().change_integration(caller.authority(), &provider, &change).await?;
    json(StatusCode::OK, &answer(&caller, &call, &integration))
}

/// `DELETE /v1/integrations/{provider}`.
pub(super) async fn remove(caller: Caller, call: Call) -> Answer {
    let provider = named(&caller, &call)?;
    call.broker().remove_integration(caller.authority(), &provider).await?;
    Ok(HttpResponse::NoContent().finish())
}
