//! Connections: what (tenant, provider, end user, account) has, and its sealed tokens.
//!
//! `record` is the shape and `layout` how it lies in the store, `sealed` its secrets, `refresh` and `brought` the fenced steps
//! of a refresh, `due` when the server comes back by itself, `told` what the tenant hears of a change, this file everything
//! else. The generation grows at every write of tokens, and a write of tokens reseals all of them.

mod brought;
mod due;
mod layout;

mod record;
mod refresh;
mod sealed;
mod spilled;
#[cfg(test)]
mod tests;
mod told;

pub use brought::{Brought, Committed};
pub use due::Plan;
pub(super) use layout::read;
pub use record::{Attempt, Connection, Identity, MoreToken, NewGrant, Slot, Status, Tokens, Trouble};
pub use refresh::{Doubt, Failure, Fresh};
pub use spilled::Spilled;

use super::hot::{Recalled, Wanted};
use super::tenants::still_active;
use super::{Authority, Integration, SlotRead, Vault, VaultError, events, integrations, keys};
use crate::domain::{AccessToken, ConnectionId, EndUserId, GrantId, ProviderId};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Key, Outcome, StoreError, Value, Write};
use due::move_due;

/// Which connections a list shows.
#[derive(Clone, Debug, Default)]
pub struct ConnectionFilter {
    /// Of this end user only.
    pub end_user: Option<EndUserId>,
    /// At this provider only.
    pub provider: Option<ProviderId>,
}

/// The connections of one tenant.
pub struct Connections<'a> {
    vault: &'a Vault,
    by: &'a Authority,
}

impl<'a> Connections<'a> {
    pub(super) fn new(vault: &'a Vault, by: &'a Authority) -> Self {
        Self { vault, by }
    }

    /// The name under which the store tells of a slot's connection.
    pub fn told_as(&self, slot: &Slot) -> String {
        self.key(slot).name().to_owned()
    }

    fn key(&self, slot: &Slot) -> Key {
        keys::connection(self.by.tenant(), slot)
    }

    /// The connection of a slot: one round trip.
    pub async fn find(&self, slot: &Slot) -> Result<Option<Connection>, VaultError> {
        let key = self.key(slot);
        let record = self.vault.store.get(&key).await?;
        record.map(|record| read(&key, &record)).transpose()
    }

    /// The connection of a slot and the tenant's registration at its provider: one round trip.
    pub async fn find_with_integration(
        &self,
        slot: &Slot,
    ) -> Result<(Option<Connection>, Option<Integration>), VaultError> {
        let tenant = self.by.tenant();
        let (place, registration) = (self.key(slot), keys::integration(tenant, &slot.provider));
        let mut records = self.vault.store.get_many(&[&place, &registration]).await?.into_iter();
        let connection = records.next().flatten().map(|record| read(&place, &record));
        let integration =
            records.next().flatten().map(|record| integrations::read(&registration, tenant, &record));
        Ok((connection.transpose()?, integration.transpose()?))
    }

    /// What a hand-out from a slot goes by: one round trip at most.
    pub async fn slot(&self, slot: &Slot, anew: bool) -> Result<SlotRead, VaultError> {
        let (place, integration) = (self.key(slot), keys::integration(self.by.tenant(), &slot.provider));
        let Recalled { found: [found, enabled], stale } =
            self.vault.hot.recall([Wanted { key: &place, anew }, (&integration).into()]).await?;
        Ok(SlotRead::of(found, enabled.as_ref(), stale))
    }

    /// The connection of a public id: the index, then the record.
    pub async fn find_by_id(&self, id: &ConnectionId) -> Result<Option<Connection>, VaultError> {
        let prefix = format!("{id}=");
        let index = keys::connection_ids(self.by.tenant());
        let members = self.vault.store.scan(&index, &prefix, None, 1).await?;
        let slot = members.first().and_then(|member| keys::parse_slot(member.get(prefix.len()..)?));
        let Some(slot) = slot else { return Ok(None) };
        Ok(self.find(&slot).await?.filter(|connection| connection.id == *id))
    }

    /// Connections in the order of an index, after that position, `limit` members of it at most; and the position reached,
    /// where there may be more.
    pub async fn list(
        &self,
        filter: &ConnectionFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Connection>, Option<String>), VaultError> {
        let tenant = self.by.tenant();
        let provider = filter.provider.as_ref();
        let (index, prefix) = match &filter.end_user {
            Some(user) => (keys::connections_by_end_user(tenant), keys::end_user_prefix(user, provider)),
            None => (keys::connections(tenant), provider.map_or_else(String::new, |p| format!("{p}:"))),
        };
        let members = self.vault.store.scan(&index, &prefix, after, limit).await?;
        let parse = if filter.end_user.is_some() { keys::parse_end_user_member } else { keys::parse_slot };
        let names: Vec<Key> = members.iter().filter_map(|m| parse(m)).map(|slot| self.key(&slot)).collect();
        let records = self.vault.store.get_many(&names.iter().collect::<Vec<_>>()).await?;
        let found = names.iter().zip(records).filter_map(|(key, record)| Some(read(key, &record?)));
        let next = (members.len() == limit).then(|| members.last().cloned()).flatten();
        Ok((found.collect::<Result<_, _>>()?, next))
    }

    /// Slots that have connections, in the order of their index, after that position, `limit` at most; and the position
    /// reached, where there may be more. Reads no record, so that one that is damaged stops nobody.
    pub async fn slots(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Slot>, Option<String>), VaultError> {
        let members = self.vault.store.scan(&keys::connections(self.by.tenant()), "", after, limit).await?;
        let next = (members.len() == limit).then(|| members.last().cloned()).flatten();
        Ok((members.iter().filter_map(|member| keys::parse_slot(member)).collect(), next))
    }

    /// Puts a new grant into a slot: a new connection, or a reconnection that keeps the id and goes on counting generations.
    /// None, and nothing changed, where the slot is pinned to an account and the grant is not known to be of that one.
    pub async fn connect(&self, slot: &Slot, grant: &NewGrant) -> Result<Option<Connection>, VaultError> {
        let fits = |kept: &Connection| {
            kept.identity.id.is_none() || kept.identity.id.as_ref() == grant.identity.id.as_ref()
        };
        self.fill(slot, grant, fits).await
    }

    /// Puts a new grant into a slot that has none. None, and nothing changed, where it has one.
    pub async fn import(&self, slot: &Slot, grant: &NewGrant) -> Result<Option<Connection>, VaultError> {
        self.fill(slot, grant, |_| false).await
    }

    /// Puts a new grant into a slot, where it is empty or `may` says so of what is in it.
    async fn fill(
        &self,
        slot: &Slot,
        grant: &NewGrant,
        may: impl Fn(&Connection) -> bool,
    ) -> Result<Option<Connection>, VaultError> {
        let tenant = self.by.tenant();
        let key = self.key(slot);
        loop {
            let before = self.find(slot).await?;
            let kept = before.as_ref().filter(|before| before.status != Status::Deleting);
            if kept.is_some_and(|kept| !may(kept)) {
                return Ok(None);
            }
            let now = self.vault.clock.now();
            let connection = Connection::begin(
                kept.map_or_else(|| self.vault.chance.id(), |kept| kept.id.clone()),
                self.vault.chance.id::<GrantId>(),
                slot.clone(),
                before.as_ref().map_or(1, |before| before.generation + 1),
                (kept.map_or(now, |kept| kept.created_at), now),
                grant,
            );
            self.hint(connection.plan.due_at).await?;
            let sealed = self.seal(&connection, &grant.tokens).await?;
            let fields = connection.fields(sealed);
            let batch = self.filling(before.as_ref(), &connection, fields);
            let batch = events::tell(batch, tenant, &told::of_a_grant(kept, &connection));
            match self.vault.store.apply(batch).await {
                Ok(Outcome::Applied(_)) => break,
                Ok(Outcome::Refused(0, _)) => return Err(VaultError::TenantGone(tenant.to_string())),
                // The answer was lost: the slot says whether it happened.
                Err(lost @ StoreError::OutcomeUnknown(_)) => {
                    let found = self.find(slot).await?.filter(|found| found.grant == connection.grant);
                    return found.ok_or(lost.into()).map(Some);
                }
                Err(error) => return Err(error.into()),
                // Somebody else wrote in between: read again.
                Ok(Outcome::Refused(..)) => {}
            }
        }
        let gone = || VaultError::Corrupt {
            record: key.name().to_owned(),
            field: "id".to_owned(),
            what: "went away while it was written",
        };
        self.find(slot).await?.ok_or_else(gone).map(Some)
    }

    /// The batch that puts a connection into its slot, in the place of what was there.
    fn filling(
        &self,
        before: Option<&Connection>,
        connection: &Connection,
        fields: Vec<(String, Value)>,
    ) -> Batch {
        let (tenant, slot) = (self.by.tenant(), &connection.slot);
        let key = self.key(slot);
        let batch = Batch::new().when(still_active(tenant));
        let batch = match before {
            None => batch.when(Guard::Absent(key.clone())),
            Some(before) => self.unchanged(batch, before),
        };
        let mut batch = batch.then(Write::Put { key, fields, lives: None });
        if let Some(gone) = before.filter(|before| before.id != connection.id) {
            let member = keys::id_member(&gone.id, slot);
            batch = batch.then(Write::IndexRemove { index: keys::connection_ids(tenant), member });
        }
        for (index, member) in self.indexes(connection) {
            batch = batch.then(Write::IndexAdd { index, member });
        }
        move_due(batch, tenant, slot, (before.and_then(|before| before.plan.due_at), connection.plan.due_at))
    }

    /// Guards that the record is the one that was read. The grant too: revisions begin anew with a record, so one that was
    /// deleted and made again meanwhile may have the same.
    fn unchanged(&self, batch: Batch, read: &Connection) -> Batch {
        let key = self.key(&read.slot);
        batch.when(Guard::Rev(key.clone(), read.rev)).when(Guard::Equals(
            key,
            "grant".to_owned(),
            read.grant.as_str().into(),
        ))
    }

    /// Marks a connection as being deleted; from then on no token comes from it and no refresh stores into it. False when it
    /// changed meanwhile.
    pub async fn begin_delete(&self, connection: &Connection) -> Result<bool, VaultError> {
        let key = self.key(&connection.slot);
        let tokens = self.open(connection).await?;
        let mut deleting = connection.clone();
        deleting.status = Status::Deleting;
        deleting.generation += 1;
        deleting.plan.due_at = None;
        let sealed = self.seal(&deleting, &tokens).await?;
        let put = Write::Put { key, fields: deleting.fields(sealed), lives: None };
        let batch = self.unchanged(Batch::new(), connection).then(put);
        let due = (connection.plan.due_at, None);
        let batch = move_due(batch, self.by.tenant(), &connection.slot, due);
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// Forgets a connection that [`Self::begin_delete`] marked. False when a new grant took its place meanwhile.
    pub async fn finish_delete(&self, deleting: &Connection) -> Result<bool, VaultError> {
        let key = self.key(&deleting.slot);
        let still = Batch::new()
            .when(Guard::Equals(key.clone(), "id".to_owned(), deleting.id.as_str().into()))
            .when(Guard::Equals(key, "status".to_owned(), Status::Deleting.word().into()));
        self.remove(still, deleting).await
    }

    /// Forgets a connection whose tokens do not open, so that it cannot be marked. False when it changed meanwhile.
    pub async fn forget(&self, read: &Connection) -> Result<bool, VaultError> {
        self.remove(self.unchanged(Batch::new(), read), read).await
    }

    async fn remove(&self, guarded: Batch, connection: &Connection) -> Result<bool, VaultError> {
        let key = self.key(&connection.slot);
        let mut batch = guarded.then(Write::Delete { key });
        for (index, member) in self.indexes(connection) {
            batch = batch.then(Write::IndexRemove { index, member });
        }
        let tenant = self.by.tenant();
        let batch = move_due(batch, tenant, &connection.slot, (connection.plan.due_at, None));
        let batch = events::tell(batch, tenant, &[told::of_an_end(connection)]);
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// The access token, opened; the only secret that a fresh read opens.
    pub async fn access_token(&self, connection: &Connection) -> Result<AccessToken, VaultError> {
        let key = self.key(&connection.slot);
        let id = connection.sealed_as();
        let place = (record::KIND, id.as_str());
        let sealer =
            self.vault.sealer(self.by.tenant(), &key, place, Some(&connection.sealed.access)).await?;
        let text = sealer.at(connection.generation).open("access_token", &connection.sealed.access)?;
        Ok(AccessToken::new(text.as_str()))
    }

    fn indexes(&self, connection: &Connection) -> [(Key, String); 3] {
        let (tenant, slot) = (self.by.tenant(), &connection.slot);
        [
            (keys::connections(tenant), keys::slot_member(slot)),
            (keys::connections_by_end_user(tenant), keys::end_user_member(slot)),
            (keys::connection_ids(tenant), keys::id_member(&connection.id, slot)),
        ]
    }
}
