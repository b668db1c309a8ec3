//! API keys: hashed, limited, listed, forgotten.

use super::fields::{Draft, Fields};
use super::tenants::still_active;
use super::{Authority, Vault, VaultError, keys};
use crate::domain::{ApiKeyId, Id, KeyScopes, ProviderId, Refusal, Timestamp};
use crate::ports::store::{Batch, Guard, Key, Record, Write};
use ipnet::IpNet;

/// What a key may do, and from where, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyLimits {
    /// What it may do.
    pub scopes: KeyScopes,
    /// When it ends, if ever.
    pub expires_at: Option<Timestamp>,
    /// The only providers it may be used for; all where empty.
    pub providers: Vec<ProviderId>,
    /// The only networks it may be used from; all where empty.
    pub ips: Vec<IpNet>,
}

impl ApiKeyLimits {
    /// Refuses with [`Refusal::OutsideKeyLimits`] a provider that the key is not for.
    pub fn may_use(&self, provider: &ProviderId) -> Result<(), Refusal> {
        if self.providers.is_empty() || self.providers.contains(provider) {
            return Ok(());
        }
        let detail = format!("This API key may not be used for the provider `{provider}`.");
        Err(Refusal::OutsideKeyLimits { detail })
    }
}

/// An API key as it is kept. The key itself is not: only the SHA-256 of its secret part.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its public part.
    pub id: ApiKeyId,
    /// The name its maker gave it.
    pub name: String,
    /// SHA-256 of the secret part, hexadecimal.
    pub secret_hash: String,
    /// What it may do.
    pub limits: ApiKeyLimits,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The API keys of one tenant.
pub struct ApiKeys<'a> {
    vault: &'a Vault,
    by: &'a Authority,
}

impl<'a> ApiKeys<'a> {
    pub(super) fn new(vault: &'a Vault, by: &'a Authority) -> Self {
        Self { vault, by }
    }

    /// Keeps a new key. False when the tenant is gone or going.
    pub async fn create(&self, key: &ApiKey) -> Result<bool, VaultError> {
        let tenant = self.by.tenant();
        let batch = Batch::new()
            .when(still_active(tenant))
            .when(Guard::Absent(keys::api_key(tenant, &key.id)))
            .then(Write::Put { key: keys::api_key(tenant, &key.id), fields: fields(key), lives: None })
            .then(Write::IndexAdd { index: keys::api_keys(tenant), member: key.id.to_string() });
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// The key of an id.
    pub async fn find(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, VaultError> {
        let key = keys::api_key(self.by.tenant(), id);
        let record = self.vault.store.get(&key).await?;
        record.map(|record| read(&key, &record)).transpose()
    }

    /// Keys in the order of their ids, after that one, `limit` at most.
    pub async fn list(&self, after: Option<&ApiKeyId>, limit: usize) -> Result<Vec<ApiKey>, VaultError> {
        let tenant = self.by.tenant();
        let mut after = after.map(ToString::to_string);
        let mut found: Vec<ApiKey> = Vec::new();
        loop {
            let wanted = limit.saturating_sub(found.len());
            let ids = self.vault.store.scan(&keys::api_keys(tenant), "", after.as_deref(), wanted).await?;
            let known = ids.iter().filter_map(|id| ApiKeyId::parse(id));
            let names: Vec<Key> = known.map(|id| keys::api_key(tenant, &id)).collect();
            let records = self.vault.store.get_many(&names.iter().collect::<Vec<_>>()).await?;
            for (key, record) in names.iter().zip(records) {
                found.extend(record.map(|record| read(key, &record)).transpose()?);
            }
            // One that was revoked between the two reads must not make a page look like the last one.
            match ids.last() {
                Some(last) if ids.len() == wanted && found.len() < limit => after = Some(last.clone()),
                _ => return Ok(found),
            }
        }
    }

    /// Forgets a key; it is refused from then on. False where there is none.
    pub async fn revoke(&self, id: &ApiKeyId) -> Result<bool, VaultError> {
        let tenant = self.by.tenant();
        let batch = Batch::new()
            .when(Guard::Present(keys::api_key(tenant, id)))
            .then(Write::Delete { key: keys::api_key(tenant, id) })
            .then(Write::IndexRemove { index: keys::api_keys(tenant), member: id.to_string() });
        Ok(self.vault.store.apply(batch).await?.applied())
    }
}

fn fields(key: &ApiKey) -> Vec<(String, crate::ports::store::Value)> {
    let joined = |parts: Vec<String>| (!parts.is_empty()).then(|| parts.join(" "));
    let limits = &key.limits;
    Draft::record()
        .put("id", &key.id)
        .put("name", &key.name)
        .put("secret_hash", &key.secret_hash)
        .put("scopes", limits.scopes.names().join(" "))
        .maybe_time("expires_at", limits.expires_at)
        .maybe("providers", joined(limits.providers.iter().map(ToString::to_string).collect()))
        .maybe("ips", joined(limits.ips.iter().map(ToString::to_string).collect()))
        .time("created_at", key.created_at)
        .done()
}

pub(super) fn read(key: &Key, record: &Record) -> Result<ApiKey, VaultError> {
    let fields = Fields::of(key, record)?;
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    Ok(ApiKey {
        id: fields.id("id")?,
        name: fields.text("name")?.to_owned(),
        secret_hash: fields.text("secret_hash")?.to_owned(),
        limits: ApiKeyLimits {
            scopes: fields.parsed("scopes", |text| KeyScopes::parse(text.split_whitespace()).ok())?,
            expires_at: fields.maybe_time("expires_at")?,
            providers: fields
                .maybe("providers", |text| words(text).iter().map(|p| ProviderId::parse(p)).collect())?
                .unwrap_or_default(),
            ips: fields
                .maybe("ips", |text| words(text).iter().map(|ip| ip.parse().ok()).collect())?
                .unwrap_or_default(),
        },
        created_at: fields.time("created_at")?,
    })
}
