//! Who was connected, and what else the file wants to know: GETs with the access token as bearer (RFC 6750 section 2.1).

use super::{BuildError, encode};
use crate::catalog::BodyKind;
use crate::catalog::{HostRule, HttpMethod, Identity, Pointer, Provider, Template, Values};
use crate::domain::{AccessToken, Secret};
use crate::ports::{OutboundRequest, OutboundResponse};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest text copied out of an answer; what is longer is no fact about an account.
const LONGEST: usize = 4096;

/// Who was connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFound {
    /// Compared at reconnect.
    pub id: String,
    /// For people.
    pub name: Option<String>,
}

/// Why an answer could not be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProfileFault {
    /// Not a 2xx.
    #[error("the provider answered {0}")]
    Status(u16),
    /// Not JSON.
    #[error("the answer is not JSON")]
    NotJson,
    /// Nothing where the id should be.
    #[error("the answer has no id")]
    NoId,
    /// A host outside its rule.
    #[error("`{0}` is not a host under the suffixes of the provider file")]
    Host(String),
}

/// The GET for [`Identity`] and [`crate::catalog::AfterConnect`].
pub fn bearer_get(
    provider: &Provider,
    url: &Template,
    token: &AccessToken,
    values: &Values,
) -> Result<OutboundRequest, BuildError> {
    let url = provider.fill(url, values)?;
    let bearer = Secret::new(format!("Bearer {}", token.expose()));
    let headers = encode::headers(Some(bearer), &BTreeMap::new());
    Ok(encode::request(HttpMethod::Get, url, BodyKind::Query, &[], headers))
}

/// Reads the answer to [`Identity`]'s GET.
pub fn read_identity(
    identity: &Identity,
    response: &OutboundResponse,
) -> Result<IdentityFound, ProfileFault> {
    let body = json(response)?;
    let id = text_at(&body, &identity.id).ok_or(ProfileFault::NoId)?;
    Ok(IdentityFound { id, name: identity.name.as_ref().and_then(|name| text_at(&body, name)) })
}

/// Reads what [`crate::catalog::AfterConnect::metadata`] points at; what is not there is left out.
pub fn read_metadata(
    provider: &Provider,
    wanted: &BTreeMap<String, Pointer>,
    response: &OutboundResponse,
) -> Result<BTreeMap<String, String>, ProfileFault> {
    metadata(&provider.hosts, wanted, &json(response)?)
}

pub(super) fn metadata(
    hosts: &BTreeMap<String, HostRule>,
    wanted: &BTreeMap<String, Pointer>,
    body: &Value,
) -> Result<BTreeMap<String, String>, ProfileFault> {
    let found = wanted.iter().filter_map(|(name, at)| Some((name.clone(), text_at(body, at)?)));
    found
        .map(|(name, value)| match hosts.get(&name) {
            Some(rule) if rule.accept(&value).is_none() => Err(ProfileFault::Host(name)),
            _ => Ok((name, value)),
        })
        .collect()
}

/// The text at a pointer: scalars as they are written, arrays and objects as JSON.
pub(super) fn text_at(body: &Value, at: &Pointer) -> Option<String> {
    let text = match body.pointer(at.as_str())? {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (!text.is_empty() && text.len() <= LONGEST).then_some(text)
}

fn json(response: &OutboundResponse) -> Result<Value, ProfileFault> {
    if !(200..300).contains(&response.status) {
        return Err(ProfileFault::Status(response.status));
    }
    let text = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
    serde_json::from_slice(text).map_err(|_| ProfileFault::NotJson)
}
