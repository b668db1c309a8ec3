//! Integrations: enabled, listed, read, changed, removed.

use super::{Answer, Call, Description, Page, Paging, Tag, json};
use crate::accounts::Caller;
use crate::broker::{Change, Enable};
use crate::domain::{ClientSecret, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::{Limit, Several};
use crate::http::cursor;
use crate::http::openapi::{FinishWord, GivenScopes, ReturnUrls};
use crate::vault::{Finish, Integration};
use actix_web::HttpResponse;
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

/// What is to be another in an integration. What is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = IntegrationChange)]
struct ChangeIntegrationFields {
    /// As the provider gave it to you.
    #[schema(min_length = 1, max_length = 2048, pattern = r"^[^\x00-\x1F\x7F-\x9F]*$")]
    client_id: Option<String>,
    /// A new one. The one before is kept beside it for a while.
    client_secret: Option<ClientSecret>,
    /// What end users are asked for.
    #[schema(value_type = Option<GivenScopes>)]
    scopes: Option<Scopes>,
    /// Where end users return to in your product.
    #[schema(value_type = Option<ReturnUrls>)]
    redirect_url: Option<Several>,
    /// Those that the provider asks at `integration`.
    variables: Option<BTreeMap<String, String>>,
    /// Who ends an authorization.
    #[schema(value_type = Option<FinishWord>)]
    finish: Option<String>,
    /// True: the client secret before is forgotten at once; with a new one, the one that it replaces.
    #[serde(default)]
    drop_previous_secret: bool,
}

/// An integration as its tenant sees it: everything but its secrets.
#[derive(Serialize, ToSchema)]
#[schema(as = Integration)]
struct IntegrationAnswer<'a> {
    /// Which provider.
    provider: &'a ProviderId,
    /// Your client id there.
    client_id: &'a str,
    /// Whether one is kept. It is never shown.
    has_client_secret: bool,
    /// The client secret before this one, where it is still tried when the provider refuses the newer.
    #[schema(required)]
    previous_client_secret: Option<PreviousAnswer>,
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
    callback_url: String,
    /// Where the provider does not take it: since when, and what it said. Null again when it is taken, or changed.
    #[schema(required)]
    misconfigured: Option<MisconfiguredAnswer<'a>>,
    /// When the provider was first enabled.
    created_at: Timestamp,
    /// When this was last replaced.
    updated_at: Timestamp,
}

/// That a provider does not take a registration.
#[derive(Serialize, ToSchema)]
#[schema(as = Misconfigured)]
struct MisconfiguredAnswer<'a> {
    /// Since when.
    since: Timestamp,
    /// The provider's own code, or a word of ours.
    error: &'a str,
}

/// A client secret that was replaced and is still tried.
#[derive(Serialize, ToSchema)]
#[schema(as = PreviousClientSecret)]
struct PreviousAnswer {
    /// Until when it is kept.
    until: Timestamp,
    /// When the provider last took it in place of the newer one, to the minute; null where it takes the newer one, or was not
    /// asked since the change.
    #[schema(required)]
    last_used_at: Option<Timestamp>,
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
    json(status, &answer(&caller, &call, &enabled.integration))
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
        misconfigured: integration
            .misconfigured
            .as_ref()
            .map(|(since, error)| MisconfiguredAnswer { since: *since, error }),
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
    let Paging { limit: Limit(limit), cursor } = call.query()?;
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

fn not_enabled() -> Refusal {
    Refusal::NotFound { what: "an integration of that provider".to_owned() }
}

pub(super) fn list_described() -> Description {
    Description::new(Tag::Providers, "List what you have enabled")
        .detail("A page may hold fewer items than its limit and still go on. A key limited to providers sees theirs.")
        .query::<Paging>()
        .lists::<IntegrationAnswer>("A page of integrations.")
        .refuses([cursor::not_one()])
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::Providers, "Read an integration")
        .path::<ProviderId>("provider", "Which provider.")
        .answers::<IntegrationAnswer>(200, "The integration.")
        .refuses([not_enabled()])
}

pub(super) fn change_described() -> Description {
    Description::new(Tag::Providers, "Change an integration")
        .detail("What is not given stays.")
        .path::<ProviderId>("provider", "Which provider.")
        .body::<ChangeIntegrationFields>()
        .answers::<IntegrationAnswer>(200, "The integration.")
        .refuses([
            Refusal::field("redirect_url", "must be one URL or a list of up to 50"),
            not_enabled(),
            Refusal::Conflict { detail: "It was changed by somebody else meanwhile.".to_owned() },
        ])
}

pub(super) fn remove_described() -> Description {
    Description::new(Tag::Providers, "Remove an integration")
        .path::<ProviderId>("provider", "Which provider.")
        .empty(204, "It is gone.")
        .refuses([
            not_enabled(),
            Refusal::Conflict { detail: "There are connections at this provider.".to_owned() },
        ])
}
