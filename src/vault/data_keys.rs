//! The data keys of tenants: made at sign-up, wrapped in the tenant's record, unwrapped and kept a minute.

use super::envelope::{DataKey, DoesNotOpen, Place, data_key_of};
use super::keyring::{NotUnwrapped, master_of};
use super::{Vault, VaultError, keys};
use crate::domain::{DataKeyId, TenantId};
use crate::ports::{ChanceExt, store::Key, store::Value};
use crate::telemetry::metrics;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an unwrapped key may serve before the tenant's record is read again: a destroyed key dies that soon everywhere.
const KEPT: Duration = Duration::from_mins(1);
/// How many tenants' keys are kept at once.
const TENANTS: usize = 20_000;

/// The data keys of one tenant; the first seals.
pub(super) struct TenantKeys {
    tenant: TenantId,
    keys: Vec<DataKey>,
    read_at: Duration,
}

/// The data keys of a tenant, held for as long as this lives.
#[derive(Clone)]
pub struct HeldKeys(Arc<TenantKeys>);

/// Unwrapped keys of the tenants asked for lately.
pub(super) struct Cache(quick_cache::sync::Cache<TenantId, Arc<TenantKeys>>);

impl Cache {
    pub fn new() -> Self {
        Self(quick_cache::sync::Cache::new(TENANTS))
    }
}

impl Cache {
    /// The tenant's record is gone, and its keys with it.
    pub fn forget(&self, tenant: &TenantId) {
        self.0.remove(tenant);
    }
}

impl TenantKeys {
    fn has(&self, id: &DataKeyId) -> bool {
        self.get(id).is_some()
    }

    /// The key that seals.
    pub fn first(&self) -> Option<&DataKey> {
        self.keys.first()
    }

    /// The key of an id.
    pub fn get(&self, id: &DataKeyId) -> Option<&DataKey> {
        self.keys.iter().find(|key| key.id == *id)
    }
}

/// Seals and opens the fields of one record.
pub(super) struct Sealer<'a> {
    vault: &'a Vault,
    keys: Arc<TenantKeys>,
    record: &'a Key,
    kind: &'static str,
    id: &'a str,
    generation: u64,
}

impl Sealer<'_> {
    fn place(&self, field: &'static str) -> Place<'_> {
        Place { tenant: &self.keys.tenant, kind: self.kind, id: self.id, field, generation: self.generation }
    }

    fn fault(&self, field: &'static str) -> VaultError {
        VaultError::DoesNotOpen { record: self.record.name().to_owned(), field: field.to_owned() }
    }

    /// The same record at another generation.
    #[must_use]
    pub fn at(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// A field and its sealed value, ready to be written.
    pub fn seal(&self, field: &'static str, plain: &str) -> Result<(String, Value), VaultError> {
        let key = self.keys.keys.first().ok_or_else(|| self.fault(field))?;
        let sealed = key.seal(&self.place(field), plain.as_bytes(), &*self.vault.chance);
        Ok((field.to_owned(), sealed.map_err(|DoesNotOpen| self.fault(field))?.into()))
    }

    /// The plain text of a sealed field.
    pub fn open(&self, field: &'static str, envelope: &[u8]) -> Result<Zeroizing<String>, VaultError> {
        let opened = data_key_of(envelope)
            .and_then(|id| self.keys.keys.iter().find(|key| key.id == id))
            .ok_or(DoesNotOpen)
            .and_then(|key| key.open(&self.place(field), envelope));
        let plain = opened.map_err(|DoesNotOpen| {
            alarm(self.record.name(), field);
            self.fault(field)
        })?;
        let text = std::str::from_utf8(&plain).map_err(|_| self.fault(field))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl Vault {
    /// A new data key for a tenant, wrapped, as it stands in the tenant's record.
    pub(super) fn new_data_key(&self, tenant: &TenantId) -> Result<String, VaultError> {
        let id: DataKeyId = self.chance.id();
        let bytes = Zeroizing::new(self.chance.bytes::<32>());
        self.keyring.wrap(tenant, &id, &bytes, &*self.chance).ok_or_else(|| VaultError::Corrupt {
            record: keys::tenant(tenant).name().to_owned(),
            field: "data_key".to_owned(),
            what: "could not be wrapped",
        })
    }

    /// What seals and opens the fields of one record. `sealed` is an envelope that will have to open: where its key is not
    /// among those kept, the tenant's record is read again.
    pub(super) async fn sealer<'a>(
        &'a self,
        tenant: &TenantId,
        record: &'a Key,
        (kind, id): (&'static str, &'a str),
        sealed: Option<&[u8]>,
    ) -> Result<Sealer<'a>, VaultError> {
        let wanted = sealed.and_then(data_key_of);
        let keys = match self.kept_keys(tenant) {
            Some(keys) if wanted.is_none_or(|id| keys.has(&id)) => keys,
            _ => self.read_keys(tenant).await?,
        };
        Ok(Sealer { vault: self, keys, record, kind, id, generation: 0 })
    }

    /// What seals the fields of one record, by keys that are held already.
    pub(super) fn sealer_with<'a>(
        &'a self,
        keys: &HeldKeys,
        record: &'a Key,
        (kind, id): (&'static str, &'a str),
    ) -> Sealer<'a> {
        Sealer { vault: self, keys: Arc::clone(&keys.0), record, kind, id, generation: 0 }
    }

    /// The data keys of a tenant, to be held.
    pub(super) async fn hold_keys(&self, tenant: &TenantId) -> Result<HeldKeys, VaultError> {
        self.keys_of(tenant).await.map(HeldKeys)
    }

    /// The data keys of a tenant, as they were a minute ago at most.
    pub(super) async fn keys_of(&self, tenant: &TenantId) -> Result<Arc<TenantKeys>, VaultError> {
        match self.kept_keys(tenant) {
            Some(keys) => Ok(keys),
            None => self.read_keys(tenant).await,
        }
    }

    fn kept_keys(&self, tenant: &TenantId) -> Option<Arc<TenantKeys>> {
        let keys = self.data_keys.0.get(tenant)?;
        // While the store cannot be reached, as long as what they open.
        let fresh = self.clock.monotonic().saturating_sub(keys.read_at) < KEPT + self.hot.grace();
        fresh.then_some(keys)
    }

    async fn read_keys(&self, tenant: &TenantId) -> Result<Arc<TenantKeys>, VaultError> {
        let read_at = self.clock.monotonic();
        let key = keys::tenant(tenant);
        let record = self.store.get(&key).await?.ok_or_else(|| VaultError::TenantGone(tenant.to_string()))?;
        let mut unwrapped = Vec::new();
        let first = self.keyring.ids().next();
        for wrapped in record.text("data_key").unwrap_or_default().split(',') {
            match self.keyring.unwrap(tenant, wrapped) {
                Ok((id, bytes)) => {
                    if master_of(wrapped) != first {
                        metrics::old_master_key();
                        tracing::debug!(%tenant, master = master_of(wrapped), "opened under an old master key");
                    }
                    unwrapped.push(DataKey::new(id, &bytes));
                }
                Err(NotUnwrapped::NoSuchKey(master)) => {
                    return Err(VaultError::MasterKeyMissing { tenant: tenant.to_string(), master });
                }
                Err(NotUnwrapped::Damaged) => {
                    alarm(key.name(), "data_key");
                    return Err(VaultError::DoesNotOpen {
                        record: key.name().to_owned(),
                        field: "data_key".to_owned(),
                    });
                }
            }
        }
        let keys = Arc::new(TenantKeys { tenant: tenant.clone(), keys: unwrapped, read_at });
        self.data_keys.0.insert(tenant.clone(), Arc::clone(&keys));
        Ok(keys)
    }
}

/// Somebody changed the store, or a key is wrong: an operator has to look.
pub(super) fn alarm(record: &str, field: &str) {
    tracing::error!(record, field, "a sealed value does not open in its place");
    metrics::alarm(metrics::Alarm::DoesNotOpen);
}
