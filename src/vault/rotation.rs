//! Master keys come and go: what lies under which of them, and wrapping anew what lies under an old one.
//!
//! Only data keys lie under master keys (the one `Wrapped` field of the schema), so that is all there is to turn: no sealed
//! field is touched, and a server that has a data key in memory notices nothing. Each tenant is one compare-and-set of its
//! record, whole or not at all: killed anywhere, the work goes on where it was when it is started again.

use super::keyring::{NotUnwrapped, master_of};
use super::{Vault, VaultError, keys};
use crate::crypto::hash::same;
use crate::domain::{Id, TenantId};
use crate::ports::store::{Batch, Guard, Key, Record, StoreError, Write};
use futures_util::{StreamExt, TryStreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Tenants read at once.
const PAGE: usize = 200;
/// Tenants written at once: a store that commits for many at a time gets many.
const AT_ONCE: usize = 32;
/// How often, and after which pause, a store is asked again that does not answer: it may be changing its leader.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// How many tenants are named of a kind of fault.
const NAMED: usize = 10;

/// The master keys, and what lies under them. For the operator's commands: it goes over all tenants, opens nothing but data
/// keys, and gives none of them out.
pub struct MasterKeys<'a> {
    vault: &'a Vault,
}

/// Which data keys lie under which master key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Tenants with a record.
    pub tenants: u64,
    /// Tenants with a data key that lies under another master key than the first and opens there: what a rotation will turn.
    pub behind: u64,
    /// How many tenants have a data key under each master key, by its id; those that are configured are there with 0 too.
    pub under: BTreeMap<String, u64>,
    /// Ids that lie under something and are not configured.
    pub missing: BTreeSet<String>,
    /// Tenants with a data key that does not open under the master key it names: how many, and the first of them.
    pub broken: (u64, Vec<TenantId>),
    /// Entries of the index without a record: what a sign-up left behind that was given up halfway.
    pub without_record: u64,
}

/// How the data keys of one tenant lie.
#[derive(Debug, PartialEq, Eq)]
struct Lies {
    under: BTreeSet<String>,
    missing: BTreeSet<String>,
    broken: bool,
    /// The field with everything that could be turned under the first master key; none where there is nothing to turn.
    turned: Option<String>,
}

impl<'a> MasterKeys<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// The ids of those that are configured; the first wraps.
    pub fn configured(&self) -> impl Iterator<Item = &'a str> {
        self.vault.keyring.ids()
    }

    /// Looks at every tenant's data keys, opens each, and changes nothing.
    pub async fn survey(&self) -> Result<Survey, VaultError> {
        let mut survey = Survey::default();
        survey.under.extend(self.configured().map(|id| (id.to_owned(), 0)));
        let mut walk = Walk::begin(self.vault);
        while let Some(page) = walk.next().await? {
            for (tenant, record) in &page {
                self.count(tenant.as_ref(), record.as_ref(), &mut survey);
            }
        }
        Ok(survey)
    }

    fn count(&self, tenant: Option<&TenantId>, record: Option<&Record>, survey: &mut Survey) {
        let Some((tenant, record)) = tenant.zip(record) else {
            survey.without_record += 1;
            return;
        };
        let lies = self.look(tenant, record);
        survey.tenants += 1;
        survey.behind += u64::from(lies.turned.is_some());
        for master in lies.under {
            *survey.under.entry(master).or_default() += 1;
        }
        survey.missing.extend(lies.missing);
        if lies.broken {
            survey.broken.0 += 1;
            if survey.broken.1.len() < NAMED {
                survey.broken.1.push(tenant.clone());
            }
        }
    }

    /// Wraps anew, under the first master key, every data key that lies under another one and opens there. Says after each
    /// page how many tenants were turned by then; returns how many it were. What does not open is left as it is, for
    /// [`Self::survey`] to name.
    pub async fn rotate(&self, mut tell: impl FnMut(u64)) -> Result<u64, VaultError> {
        let mut turned = 0;
        let mut walk = Walk::begin(self.vault);
        while let Some(page) = walk.next().await? {
            let work = stream::iter(page.into_iter().filter_map(|(tenant, record)| tenant.zip(record)));
            let done = work.map(|(tenant, record)| self.turn(tenant, record)).buffer_unordered(AT_ONCE);
            turned += done.try_fold(0, async |sum, turned| Ok(sum + u64::from(turned))).await?;
            tell(turned);
        }
        Ok(turned)
    }

    /// Puts a tenant back into the index that rotations walk over. False where there is no such tenant.
    pub async fn list(&self, tenant: &TenantId) -> Result<bool, VaultError> {
        if self.vault.store.get(&keys::tenant(tenant)).await?.is_none() {
            return Ok(false);
        }
        let member = tenant.to_string();
        let listed = Write::IndexAdd { index: keys::tenants_shard(tenant), member };
        self.vault.store.apply(Batch::new().then(listed)).await?;
        Ok(true)
    }

    /// True when this tenant was turned. Of two rotations at once, each tenant is turned by one.
    async fn turn(&self, tenant: TenantId, record: Record) -> Result<bool, VaultError> {
        let key = keys::tenant(&tenant);
        let (mut record, mut tried) = (Some(record), false);
        loop {
            // Deleted meanwhile: the guard on the revision brings nothing back.
            let Some(found) = record else { return Ok(false) };
            // After an answer that was lost, what is found turned is what that write did.
            let Some(text) = self.look(&tenant, &found).turned else { return Ok(tried) };
            let fields = vec![("data_key".to_owned(), text.into())];
            let batch = Batch::new()
                .when(Guard::Rev(key.clone(), found.rev()))
                .then(Write::Set { key: key.clone(), fields });
            match insist(|| self.vault.store.apply(batch.clone())).await {
                Ok(outcome) if outcome.applied() => return Ok(true),
                Ok(_) => {}
                Err(StoreError::OutcomeUnknown(_)) => tried = true,
                Err(error) => return Err(error.into()),
            }
            record = insist(|| self.vault.store.get(&key)).await?;
        }
    }

    fn look(&self, tenant: &TenantId, record: &Record) -> Lies {
        let ring = &self.vault.keyring;
        let first = ring.ids().next();
        let mut lies = Lies { under: BTreeSet::new(), missing: BTreeSet::new(), broken: false, turned: None };
        let mut turned = false;
        let mut texts = Vec::new();
        for wrapped in record.text("data_key").unwrap_or_default().split(',') {
            lies.under.extend(master_of(wrapped).map(str::to_owned));
            match ring.unwrap(tenant, wrapped) {
                Ok((id, data_key)) if master_of(wrapped) != first => {
                    let anew = ring.wrap(tenant, &id, &data_key, &*self.vault.chance);
                    // What opens is replaced by nothing but what was seen to open as the same.
                    let opens = |text: &String| {
                        ring.unwrap(tenant, text).is_ok_and(|(_, key)| same(&*key, &*data_key))
                    };
                    let anew = anew.filter(opens);
                    turned |= anew.is_some();
                    texts.push(anew.unwrap_or_else(|| wrapped.to_owned()));
                }
                Ok(_) => texts.push(wrapped.to_owned()),
                Err(fault) => {
                    match fault {
                        NotUnwrapped::NoSuchKey(master) => _ = lies.missing.insert(master),
                        NotUnwrapped::Damaged => lies.broken = true,
                    }
                    texts.push(wrapped.to_owned());
                }
            }
        }
        lies.turned = turned.then(|| texts.join(","));
        lies
    }
}

/// All tenants of the index, page by page.
struct Walk<'a> {
    vault: &'a Vault,
    shards: Vec<Key>,
    after: Option<String>,
}

impl<'a> Walk<'a> {
    fn begin(vault: &'a Vault) -> Self {
        Self { vault, shards: keys::tenant_shards().collect(), after: None }
    }

    /// Some tenants and their records; an id is absent where the index holds something else. None at the end.
    async fn next(&mut self) -> Result<Option<Vec<(Option<TenantId>, Option<Record>)>>, VaultError> {
        let store = &self.vault.store;
        while let Some(shard) = self.shards.last() {
            let names = insist(|| store.scan(shard, "", self.after.as_deref(), PAGE)).await?;
            let Some(last) = names.last() else {
                self.shards.pop();
                self.after = None;
                continue;
            };
            self.after = Some(last.clone());
            let tenants: Vec<Option<TenantId>> = names.iter().map(|name| TenantId::parse(name)).collect();
            let places: Vec<Key> = tenants.iter().flatten().map(keys::tenant).collect();
            let places: Vec<&Key> = places.iter().collect();
            let mut records = insist(|| store.get_many(&places)).await?.into_iter();
            let page = tenants.into_iter().map(|tenant| {
                let record = tenant.as_ref().and_then(|_| records.next()).flatten();
                (tenant, record)
            });
            return Ok(Some(page.collect()));
        }
        Ok(None)
    }
}

/// Asks again where the store could not be asked: nothing has happened then.
async fn insist<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 1..TRIES {
        match ask().await {
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use crate::vault::{FieldKind, RECORDS};

    #[test]
    fn nothing_but_data_keys_lies_under_master_keys() {
        let wrapped = |kind: &FieldKind| *kind == FieldKind::Wrapped;
        let fields = RECORDS
            .iter()
            .flat_map(|record| record.fields.iter().map(|(field, kind)| (record.kind, *field, *kind)))
            .filter(|(.., kind)| wrapped(kind))
            .map(|(record, field, _)| (record, field));
        assert_eq!(fields.collect::<Vec<_>>(), [("tenant", "data_key")], "a rotation has to turn them too");
    }
}
