//! API keys: made, listed, read, revoked.

use super::{Answer, Call, Page, json};
use crate::accounts::{Caller, NewApiKey};
use crate::domain::{ApiKeyId, Id, KeyScope, KeyScopes, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::{Limit, Several};
use crate::http::cursor;
use crate::vault::{ApiKey, ApiKeyLimits};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKeyFields {
    name: String,
    scopes: Option<Scopes>,
    expires_at: Option<String>,
    #[serde(default)]
    providers: Several,
    #[serde(default)]
    ips: Several,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct KeyAnswer<'a> {
    id: &'a ApiKeyId,
    /// Shown once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    name: &'a str,
    scopes: Vec<&'static str>,
    expires_at: Option<Timestamp>,
    providers: &'a [ProviderId],
    ips: Vec<String>,
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

/// `GET /v1/api-keys`.
pub(super) async fn list(caller: Caller, call: Call) -> Answer {
    let ListQuery { limit: Limit(limit), cursor } = call.query()?;
    let after = cursor.as_deref().map(position).transpose()?;
    let keys = call.accounts().list_keys(&caller, after.as_ref(), limit).await?;
    let last = keys.last().filter(|_| keys.len() == limit);
    let next_cursor = last.map(|key| cursor::of(key.id.as_str()));
    let items = keys.iter().map(|key| KeyAnswer::of(key, None)).collect();
    json(StatusCode::OK, &Page { items, next_cursor })
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
