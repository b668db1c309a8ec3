//! API keys: made, listed, read, revoked.

use super::{Answer, Call, Description, Page, Paging, Tag, json};
use crate::accounts::{Caller, NewApiKey};
use crate::domain::{ApiKeyId, Id, KeyScope, KeyScopes, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::{Limit, Several};
use crate::http::cursor;
use crate::http::openapi::{KeyScopeWord, KeyScopesGiven, Networks, ProviderIds};
use crate::vault::{ApiKey, ApiKeyLimits};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// An API key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKeyFields {
    /// What you call it: on one line, without control characters.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\x00-\x1F\x7F-\x9F]*$", example = "backend")]
    name: String,
    /// What it may do; absent: everything.
    #[schema(value_type = Option<KeyScopesGiven>)]
    scopes: Option<Scopes>,
    /// RFC 3339, in the future; absent: never.
    #[schema(value_type = Option<Timestamp>)]
    expires_at: Option<String>,
    /// The only providers it may be used for; absent: all.
    #[schema(value_type = ProviderIds, required = false)]
    #[serde(default)]
    providers: Several,
    /// Addresses or networks it may be used from; absent: all.
    #[schema(value_type = Networks, required = false)]
    #[serde(default)]
    ips: Several,
}

/// An API key.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct KeyAnswer<'a> {
    /// Its public part, which revokes it.
    id: &'a ApiKeyId,
    /// The key itself. Shown once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// What you call it.
    name: &'a str,
    /// What it may do.
    #[schema(value_type = Vec<KeyScopeWord>)]
    scopes: Vec<&'static str>,
    /// When it ends; null: never.
    #[schema(required)]
    expires_at: Option<Timestamp>,
    /// The only providers it may be used for; empty: all.
    providers: &'a [ProviderId],
    /// The only networks it may be used from; empty: all.
    ips: Vec<String>,
    /// When it was made.
    created_at: Timestamp,
}

impl<'a> KeyAnswer<'a> {
    fn of(key: &'a ApiKey, text: Option<&'a str>) -> Self {
        Self {
            id: &key.id,
            key: text,
            name: &key.name,
            scopes: key.limits.scopes.names(),
            expires_at: key.limits.expires_at,
            providers: &key.limits.providers,
            ips: key.limits.ips.iter().map(ToString::to_string).collect(),
            created_at: key.created_at,
        }
    }
}

impl NewKeyFields {
    fn into_request(self) -> Result<NewApiKey, Refusal> {
        let time = |text: &str| {
            Timestamp::parse(text).ok_or_else(|| {
                Refusal::field("expires_at", "must be an RFC 3339 time such as 2027-01-31T12:00:00Z")
            })
        };
        let limits = ApiKeyLimits {
            scopes: self.scopes.map_or_else(|| Ok(KeyScopes::all()), |names| key_scopes(&names))?,
            expires_at: self.expires_at.as_deref().map(time).transpose()?,
            providers: self.providers.parsed("providers", "must be provider ids", ProviderId::parse)?,
            ips: self.ips.parsed("ips", "must be addresses or networks such as 192.0.2.0/24", network)?,
        };
        Ok(NewApiKey { name: self.name, limits })
    }
}

fn key_scopes(names: &Scopes) -> Result<KeyScopes, Refusal> {
    let known: Vec<&str> = KeyScope::ALL.iter().map(|scope| scope.as_str()).collect();
    let wrong = || Refusal::field("scopes", format!("must be one or more of {}", known.join(", ")));
    if names.is_empty() {
        return Err(wrong());
    }
    KeyScopes::parse(names.iter()).map_err(|_| wrong())
}

fn network(text: &str) -> Option<IpNet> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(alone)
}

/// `POST /v1/api-keys`.
pub(super) async fn create(caller: Caller, call: Call) -> Answer {
    let request = call.fields::<NewKeyFields>()?.into_request()?;
    let (key, text) = call.accounts().create_key(&caller, request).await?;
    json(StatusCode::CREATED, &KeyAnswer::of(&key, Some(text.expose())))
}

pub(super) fn create_described() -> Description {
    Description::new(Tag::ApiKeys, "Make an API key")
        .detail("The key is shown this once; only its hash is kept. A key makes no key that may do more than itself.")
        .body::<NewKeyFields>()
        .answers::<KeyAnswer>(201, "The key.")
        .refuses([Refusal::field("expires_at", "must lie in the future")])
}

/// `GET /v1/api-keys`.
pub(super) async fn list(caller: Caller, call: Call) -> Answer {
    let Paging { limit: Limit(limit), cursor } = call.query()?;
    let after = cursor.as_deref().map(position).transpose()?;
    let keys = call.accounts().list_keys(&caller, after.as_ref(), limit).await?;
    let last = keys.last().filter(|_| keys.len() == limit);
    let next_cursor = last.map(|key| cursor::of(key.id.as_str()));
    let items = keys.iter().map(|key| KeyAnswer::of(key, None)).collect();
    json(StatusCode::OK, &Page { items, next_cursor })
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::ApiKeys, "Read an API key")
        .detail("Everything but the key itself.")
        .path::<ApiKeyId>("id", "Which one.")
        .answers::<KeyAnswer>(200, "The key.")
        .refuses([Refusal::NotFound { what: "an API key of that id".to_owned() }])
}

pub(super) fn list_described() -> Description {
    Description::new(Tag::ApiKeys, "List the API keys")
        .query::<Paging>()
        .lists::<KeyAnswer>("A page of the tenant's keys.")
        .refuses([cursor::not_one()])
}

fn position(cursor: &str) -> Result<ApiKeyId, Refusal> {
    ApiKeyId::parse(&cursor::position(cursor)?).ok_or_else(cursor::not_one)
}

/// `GET /v1/api-keys/{id}`.
pub(super) async fn show(caller: Caller, call: Call) -> Answer {
    let key = call.accounts().key(&caller, &call.id("an API key of that id")?).await?;
    json(StatusCode::OK, &KeyAnswer::of(&key, None))
}

/// `DELETE /v1/api-keys/{id}`.
pub(super) async fn revoke(caller: Caller, call: Call) -> Answer {
    call.accounts().revoke_key(&caller, &call.id("an API key of that id")?).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) fn revoke_described() -> Description {
    Description::new(Tag::ApiKeys, "Revoke an API key")
        .detail("It is refused from then on.")
        .path::<ApiKeyId>("id", "Which one.")
        .empty(204, "It is revoked.")
        .refuses([Refusal::NotFound { what: "an API key of that id".to_owned() }])
}
