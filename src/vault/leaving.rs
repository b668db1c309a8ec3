//! How a tenant goes: it is marked, so that nobody comes in and nothing new is made; then all that it has is removed, kind by
//! kind and page by page; its own record, and with it its data keys, goes last.
//!
//! Every step may be repeated. The index of leaving tenants is written before the mark and cleared after the last step, so
//! that whoever is killed in between is followed by another. One worker at a time is at it, by the store's clock; what
//! grants need at their providers is done above, before their records are removed here.

use super::fields::{Draft, Fields};
use super::tenants::{DELETING, TenantStatus, still_active};
use super::{Authority, Vault, VaultError, keys, members, tenants};
use crate::domain::{ApiKeyId, AttemptId, Id, InstanceId, MemberId, ProviderId, TenantId, Who};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Key, Record, Value, Write};
use std::collections::BTreeMap;
use std::time::Duration;

/// Members of an index that are removed in one batch.
const PAGE: usize = 100;

/// One kind of thing that a tenant has: an index, and the records that a member of it stands for.
struct Belonging {
    index: fn(&TenantId) -> Key,
    records: fn(&TenantId, &str) -> Vec<Key>,
}

/// All that a tenant has besides its members, its own record and its audit trails, in the order in which it goes. What is not here stays: a new
/// kind of record gets a line. Sessions have none, they end by themselves.
const BELONGINGS: &[Belonging] = &[
    Belonging { index: keys::api_keys, records: api_key },
    Belonging { index: keys::connections, records: connection },
    Belonging { index: keys::connections_by_end_user, records: nothing },
    Belonging { index: keys::connection_ids, records: nothing },
    Belonging { index: keys::integrations, records: integration },
];

fn api_key(tenant: &TenantId, id: &str) -> Vec<Key> {
    ApiKeyId::parse(id).map(|id| keys::api_key(tenant, &id)).into_iter().collect()
}

fn connection(tenant: &TenantId, slot: &str) -> Vec<Key> {
    keys::parse_slot(slot).map(|slot| keys::connection(tenant, &slot)).into_iter().collect()
}

/// The trail of an instance, and its head.
fn trail(tenant: &TenantId, instance: &str) -> Vec<Key> {
    let keys = |id| vec![keys::audit(tenant, &id), keys::audit_head(tenant, &id)];
    InstanceId::parse(instance).map(keys).unwrap_or_default()
}

fn integration(tenant: &TenantId, provider: &str) -> Vec<Key> {
    ProviderId::parse(provider).map(|provider| keys::integration(tenant, &provider)).into_iter().collect()
}

/// A further index of records that another one removes.
fn nothing(_: &TenantId, _: &str) -> Vec<Key> {
    Vec::new()
}

/// A tenant that is being deleted, in the hands of one worker.
#[derive(Clone, Debug)]
pub struct Going {
    authority: Authority,
    worker: AttemptId,
    /// What became of its grants at their providers so far, by the word for it.
    pub revocations: BTreeMap<String, u64>,
}

impl Going {
    /// To act for a tenant that nobody else can act for any more.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// Tenants that are being deleted.
pub struct Leaving<'a> {
    vault: &'a Vault,
}

impl<'a> Leaving<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Marks the tenant that `by` proves. From then on no key is made and nothing is enabled or connected, its members'
    /// passwords are gone, and so are its keys, those beyond the first hundred in a moment. False where there is no tenant.
    pub async fn mark(&self, by: &Authority) -> Result<bool, VaultError> {
        let (tenant, store) = (by.tenant(), &self.vault.store);
        let hint = Write::IndexAdd { index: keys::tenants_leaving(), member: tenant.to_string() };
        store.apply(Batch::new().then(hint)).await?;
        let key = keys::tenant(tenant);
        let fields =
            Draft::some().put("status", DELETING).time("deleting_since", self.vault.clock.now()).done();
        let mut batch = Batch::new().when(still_active(tenant)).then(Write::Set { key: key.clone(), fields });
        for id in store.scan(&keys::members(tenant), "", None, PAGE).await? {
            let Some(id) = MemberId::parse(&id) else { continue };
            let fields = vec!["password_hash".to_owned()];
            batch = batch.then(Write::Unset { key: keys::member(tenant, &id), fields });
        }
        let first = store.scan(&keys::api_keys(tenant), "", None, PAGE).await?;
        batch = without(batch, &keys::api_keys(tenant), first, |id| api_key(tenant, id));
        // Refused where it is marked already, too.
        if !store.apply(batch).await?.applied() && store.get(&key).await?.is_none() {
            return Ok(false);
        }
        self.empty(tenant, &keys::api_keys(tenant), api_key).await?;
        Ok(true)
    }

    /// Some of those that are being deleted, in the order of their ids, after that one.
    pub async fn list(&self, after: Option<&TenantId>) -> Result<Vec<TenantId>, VaultError> {
        let after = after.map(TenantId::as_str);
        let ids = self.vault.store.scan(&keys::tenants_leaving(), "", after, PAGE).await?;
        Ok(ids.iter().filter_map(|id| TenantId::parse(id)).collect())
    }

    /// Takes a deletion into one's hands for that long. None where somebody else is at it, or nothing is to be done.
    pub async fn take(&self, tenant: &TenantId, lasts: Duration) -> Result<Option<Going>, VaultError> {
        let key = keys::tenant(tenant);
        let Some(record) = self.vault.store.get(&key).await? else {
            // It was deleted, and whoever did that was killed before the last word.
            self.drop_trails(tenant).await?;
            self.forget(tenant).await?;
            return Ok(None);
        };
        if tenants::read(&key, &record)?.status != TenantStatus::Deleting {
            return Ok(None);
        }
        let free = [
            Guard::Missing(key.clone(), "deleted_until".to_owned()),
            Guard::Passed(key.clone(), "deleted_until".to_owned()),
        ];
        let worker: AttemptId = self.vault.chance.id();
        for guard in free {
            let fields = Draft::some().put("deleted_by", &worker);
            let fields = fields.raw("deleted_until", Value::Now(lasts)).done();
            let batch =
                Batch::new().when(leaving(tenant)).when(guard).then(Write::Set { key: key.clone(), fields });
            if self.vault.store.apply(batch).await?.applied() {
                // Whoever marked it may have been killed before all keys were gone, and grants take their time.
                self.empty(tenant, &keys::api_keys(tenant), api_key).await?;
                return going(tenant, worker, &key, &record).map(Some);
            }
        }
        Ok(None)
    }

    /// Keeps a deletion in one's hands for that much longer, and what became of the grants so far. False where somebody else
    /// took it over.
    pub async fn keep(&self, going: &Going, lasts: Duration) -> Result<bool, VaultError> {
        let key = keys::tenant(going.authority.tenant());
        let mine = Guard::Equals(key.clone(), "deleted_by".to_owned(), going.worker.as_str().into());
        let fields = Draft::some()
            .raw("deleted_until", Value::Now(lasts))
            .put("revocations", serde_json::json!(going.revocations))
            .done();
        let batch = Batch::new().when(mine).then(Write::Set { key, fields });
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// Removes all that the tenant has, then frees its addresses, then removes its own record and its data keys.
    pub async fn finish(&self, going: &Going) -> Result<(), VaultError> {
        let (tenant, store) = (going.authority.tenant(), &self.vault.store);
        for kind in BELONGINGS {
            self.empty(tenant, &(kind.index)(tenant), kind.records).await?;
        }
        self.free_addresses(tenant).await?;
        let unlisted = Write::IndexRemove { index: keys::tenants_shard(tenant), member: tenant.to_string() };
        store.apply(Batch::new().then(unlisted)).await?;
        let gone = Write::Delete { key: keys::tenant(tenant) };
        let last = [keys::events(tenant), keys::due(tenant)].map(|key| Write::Delete { key });
        let batch = last.into_iter().fold(Batch::new().when(leaving(tenant)), Batch::then);
        store.apply(batch.then(gone)).await?;
        self.vault.data_keys.forget(tenant);
        self.drop_trails(tenant).await?;
        self.forget(tenant).await
    }

    /// Removes the audit trails of a tenant that is gone: as long as its record is there, every instance may go on writing
    /// them.
    async fn drop_trails(&self, tenant: &TenantId) -> Result<(), VaultError> {
        let (index, gone) = (keys::audit_instances(tenant), Guard::Absent(keys::tenant(tenant)));
        loop {
            let members = self.vault.store.scan(&index, "", None, PAGE).await?;
            if members.is_empty() {
                return Ok(());
            }
            let batch = without(Batch::new().when(gone.clone()), &index, members, |id| trail(tenant, id));
            if !self.vault.store.apply(batch).await?.applied() {
                return Ok(());
            }
        }
    }

    /// Gives the addresses of the members back, and removes the members.
    async fn free_addresses(&self, tenant: &TenantId) -> Result<(), VaultError> {
        let (index, store) = (keys::members(tenant), &self.vault.store);
        loop {
            let ids = store.scan(&index, "", None, PAGE).await?;
            for id in ids.iter().filter_map(|id| MemberId::parse(id)) {
                let key = keys::member(tenant, &id);
                let Some(record) = store.get(&key).await? else { continue };
                let claim = keys::email(&members::address(&key, &record)?);
                // Not where it is somebody else's by now.
                let mine = Guard::Equals(claim.clone(), "tenant".to_owned(), tenant.as_str().into());
                store.apply(Batch::new().when(mine).then(Write::Delete { key: claim })).await?;
            }
            let all = ids.len() < PAGE;
            let member =
                |id: &str| MemberId::parse(id).map(|id| keys::member(tenant, &id)).into_iter().collect();
            store.apply(without(Batch::new(), &index, ids, member)).await?;
            if all {
                return Ok(());
            }
        }
    }

    async fn empty(
        &self,
        tenant: &TenantId,
        index: &Key,
        records: fn(&TenantId, &str) -> Vec<Key>,
    ) -> Result<(), VaultError> {
        loop {
            let members = self.vault.store.scan(index, "", None, PAGE).await?;
            if members.is_empty() {
                return Ok(());
            }
            let batch = without(Batch::new().when(leaving(tenant)), index, members, |id| records(tenant, id));
            if !self.vault.store.apply(batch).await?.applied() {
                return Err(VaultError::TenantGone(tenant.to_string()));
            }
        }
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), VaultError> {
        let hint = Write::IndexRemove { index: keys::tenants_leaving(), member: tenant.to_string() };
        self.vault.store.apply(Batch::new().then(hint)).await?;
        Ok(())
    }
}

/// Only a tenant that is marked loses anything.
fn leaving(tenant: &TenantId) -> Guard {
    Guard::Equals(keys::tenant(tenant), "status".to_owned(), DELETING.into())
}

/// Removes members of an index and the records that they stand for.
fn without(batch: Batch, index: &Key, members: Vec<String>, records: impl Fn(&str) -> Vec<Key>) -> Batch {
    members.into_iter().fold(batch, |batch, member| {
        let batch = records(&member).into_iter().fold(batch, |batch, key| batch.then(Write::Delete { key }));
        batch.then(Write::IndexRemove { index: index.clone(), member })
    })
}

fn going(tenant: &TenantId, worker: AttemptId, key: &Key, record: &Record) -> Result<Going, VaultError> {
    let counts = Fields::of(key, record)?.maybe("revocations", |text| serde_json::from_str(text).ok())?;
    Ok(Going {
        authority: Authority::proven(tenant.clone(), Who::Grantkeep.at(None)),
        worker,
        revocations: counts.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::embedded::EmbeddedStore;
    use crate::adapters::system::{SystemChance, SystemClock};
    use crate::domain::{EmailAddress, KeyScopes};
    use crate::ports::Clock;
    use crate::vault::{Activation, ApiKey, ApiKeyLimits, Keyring, PendingSignUp};
    use std::sync::Arc;

    /// Killed when the tenant was marked and not all of its keys were gone.
    #[tokio::test]
    async fn nobody_comes_in_while_grants_are_ended() {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let store = Arc::new(EmbeddedStore::open(folder.path(), Arc::clone(&clock)).unwrap());
        let keyring = Keyring::new([("k1", &[7; 32])]).unwrap();
        let vault = Vault::new(store, Arc::clone(&clock), Arc::new(SystemChance), keyring);
        let (email, now) = (EmailAddress::parse("ada@example.com").unwrap(), clock.now());
        let (password_hash, product) = ("none".to_owned(), String::new());
        let pending = PendingSignUp { email, password_hash, product, created_at: now };
        let link = SystemChance.ticket();
        vault.sign_ups().keep(&link, &pending, Duration::from_mins(1)).await.unwrap();
        let Activation::Activated(tenant) = vault.sign_ups().activate(&link).await.unwrap() else {
            panic!("not activated")
        };
        let by = Authority::proven(tenant.clone(), Who::Grantkeep.at(None));
        let limits =
            ApiKeyLimits { scopes: KeyScopes::all(), expires_at: None, providers: vec![], ips: vec![] };
        let (id, name): (ApiKeyId, _) = (SystemChance.id(), "left".to_owned());
        let key = ApiKey { id: id.clone(), name, secret_hash: "none".to_owned(), limits, created_at: now };
        assert!(vault.api_keys(&by).create(&key).await.unwrap());
        let fields = Draft::some().put("status", DELETING).done();
        let marked = Batch::new().then(Write::Set { key: keys::tenant(&tenant), fields });
        vault.store.apply(marked).await.unwrap();
        assert!(vault.leaving().take(&tenant, Duration::from_secs(1)).await.unwrap().is_some());
        assert!(vault.api_keys(&by).find(&id).await.unwrap().is_none());
    }
}
