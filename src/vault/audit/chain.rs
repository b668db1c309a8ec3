//! The chain: each record's MAC is over the record and the MAC before it, under a key of the tenant's own, so that whoever
//! writes into the store without that key can change, take away or move none of them unseen. HMAC-SHA-256 (RFC 2104).
//!
//! The head record says where a chain stands and, once its beginning was removed, where it begins.

use super::event::Entry;
use crate::crypto::hash::{hex, hmac_sha256, same};
use crate::domain::{DataKeyId, InstanceId, TenantId, Timestamp};
use crate::ports::store::{Key, Record, Value};
use crate::vault::data_keys::TenantKeys;
use crate::vault::envelope::{DataKey, associated};
use crate::vault::fields::{Draft, Fields};
use crate::vault::{VaultError, keys};
use std::time::Duration;

const VERSION: u8 = 1;

/// One record's place in its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// From 1, without a gap.
    pub sequence: u64,
    /// 64 hexadecimal digits; empty before the first record.
    pub mac: String,
}

impl Link {
    /// Before the first record.
    pub fn beginning() -> Self {
        Self { sequence: 0, mac: String::new() }
    }
}

/// Whose trail it is, and who writes it. Both are part of every MAC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trails<'a> {
    pub tenant: &'a TenantId,
    pub instance: &'a InstanceId,
}

impl Trails<'_> {
    pub fn head_key(&self) -> Key {
        keys::audit_head(self.tenant, self.instance)
    }

    pub fn stream(&self) -> Key {
        keys::audit(self.tenant, self.instance)
    }

    /// The record that comes after `before`.
    pub fn next(&self, before: &Link, key: &DataKey, event: String) -> Entry {
        let sequence = before.sequence + 1;
        let mac = self.mac(before, key, sequence, &event);
        Entry { link: Link { sequence, mac }, data_key: key.id.clone(), event }
    }

    /// What the MAC of `entry` would have to be if it came after `before`; none where its key is not there.
    pub fn expected(&self, before: &Link, entry: &Entry, keys: &TenantKeys) -> Option<String> {
        let key = keys.get(&entry.data_key)?;
        Some(self.mac(before, key, entry.link.sequence, &entry.event))
    }

    fn mac(&self, before: &Link, key: &DataKey, sequence: u64, event: &str) -> String {
        let (tenant, instance) = (self.tenant.as_str(), self.instance.as_str());
        let parts = ["audit", tenant, instance, key.id.as_str(), &before.mac, event];
        hex(&hmac_sha256(&*key.audit, &associated(VERSION, &parts, sequence)))
    }
}

/// Where a chain begins after its older part was removed: the last record that went, and why it might go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The last record that went.
    pub link: Link,
    /// The youngest time of those that went.
    pub time: Timestamp,
    pub made_at: Timestamp,
    /// How long records were to be kept when it was made.
    pub retention: Duration,
    pub data_key: DataKeyId,
    /// The MAC over all of that.
    pub seal: String,
}

impl Checkpoint {
    pub fn new(
        trails: &Trails<'_>,
        key: &DataKey,
        (link, time): (Link, Timestamp),
        (made_at, retention): (Timestamp, Duration),
    ) -> Self {
        let data_key = key.id.clone();
        let mut new = Self { link, time, made_at, retention, data_key, seal: String::new() };
        new.seal = new.expected(trails, key);
        new
    }

    fn expected(&self, trails: &Trails<'_>, key: &DataKey) -> String {
        let numbers = [self.time.as_millis().to_string(), self.made_at.as_millis().to_string(), self.kept()];
        let [time, made_at, kept] = &numbers;
        let (tenant, instance) = (trails.tenant.as_str(), trails.instance.as_str());
        let parts =
            ["audit-checkpoint", tenant, instance, key.id.as_str(), &self.link.mac, time, made_at, kept];
        hex(&hmac_sha256(&*key.audit, &associated(VERSION, &parts, self.link.sequence)))
    }

    fn kept(&self) -> String {
        self.retention.as_millis().to_string()
    }

    /// True when it is what a holder of the key wrote.
    pub fn is_authentic(&self, trails: &Trails<'_>, keys: &TenantKeys) -> bool {
        let expected = keys.get(&self.data_key).map(|key| self.expected(trails, key));
        expected.is_some_and(|expected| same(expected.as_bytes(), self.seal.as_bytes()))
    }

    /// True when all that went was old enough to go.
    pub fn is_due(&self) -> bool {
        self.time.plus(self.retention) <= self.made_at
    }

    pub fn fields(&self, draft: Draft) -> Draft {
        draft
            .put("checkpoint_sequence", self.link.sequence)
            .put("checkpoint_mac", &self.link.mac)
            .time("checkpoint_time", self.time)
            .time("checkpoint_made_at", self.made_at)
            .put("checkpoint_retention", self.kept())
            .put("checkpoint_key", &self.data_key)
            .put("checkpoint_seal", &self.seal)
    }

    fn read(fields: Fields<'_>) -> Result<Option<Self>, VaultError> {
        let number = |text: &str| text.parse().ok();
        let Some(sequence) = fields.maybe("checkpoint_sequence", number)? else { return Ok(None) };
        Ok(Some(Self {
            link: Link { sequence, mac: fields.text("checkpoint_mac")?.to_owned() },
            time: fields.time("checkpoint_time")?,
            made_at: fields.time("checkpoint_made_at")?,
            retention: Duration::from_millis(fields.parsed("checkpoint_retention", number)?),
            data_key: fields.id("checkpoint_key")?,
            seal: fields.text("checkpoint_seal")?.to_owned(),
        }))
    }
}

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The last record.
    pub link: Link,
    /// When it was made.
    pub time: Timestamp,
    pub checkpoint: Option<Checkpoint>,
}

impl Head {
    pub fn read(key: &Key, record: &Record) -> Result<Self, VaultError> {
        let fields = Fields::of(key, record)?;
        Ok(Self {
            link: Link {
                sequence: fields.parsed("sequence", |text| text.parse().ok())?,
                mac: fields.text("mac")?.to_owned(),
            },
            time: fields.time("time")?,
            checkpoint: Checkpoint::read(fields)?,
        })
    }

    /// The fields that an append writes.
    pub fn fields(link: &Link, time: Timestamp) -> Draft {
        Draft::record().put("sequence", link.sequence).put("mac", &link.mac).time("time", time)
    }

    /// Where the records that are there begin.
    pub fn begins_after(&self) -> Link {
        self.checkpoint.as_ref().map_or_else(Link::beginning, |checkpoint| checkpoint.link.clone())
    }
}

/// The fields of a checkpoint alone.
pub(super) fn checkpoint_fields(checkpoint: &Checkpoint) -> Vec<(String, Value)> {
    checkpoint.fields(Draft::some()).done()
}
