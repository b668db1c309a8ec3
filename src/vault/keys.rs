//! Names of records and indexes: the one place where they are spelled.

use super::Slot;
use crate::crypto::hash::sha256_hex;
use crate::domain::{
    Account, ApiKeyId, ConnectionId, EmailAddress, EndUserId, Id, InstanceId, MailId, MemberId, ProviderId,
    SessionId, TenantId, Timestamp,
};
use crate::ports::store::Key;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::borrow::Cow;

/// What stays as it is in a part of a name: RFC 3986 section 2.3 unreserved characters.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// How many shards the index of all tenants has.
const TENANT_SHARDS: u16 = 64;

/// How many partitions the queue of mails has. A server looks through all of them every few seconds.
const MAIL_SHARDS: u16 = 8;

/// How many parts the hints have. A server looks through all of them every few seconds.
const DUE_SHARDS: u16 = 16;

fn part(text: &str) -> Cow<'_, str> {
    // Where nothing is to be encoded, this borrows.
    utf8_percent_encode(text, PART).into()
}

fn unpart(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

pub(super) fn tenant(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "tenant")
}

pub(super) fn member(tenant: &TenantId, id: &MemberId) -> Key {
    Key::of_tenant(tenant, &format!("member:{id}"))
}

/// Members are ids of members.
pub(super) fn members(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:members")
}

pub(super) fn api_key(tenant: &TenantId, id: &ApiKeyId) -> Key {
    Key::of_tenant(tenant, &["api-key:", id.as_str()].concat())
}

pub(super) fn api_keys(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:api-keys")
}

pub(super) fn integration(tenant: &TenantId, provider: &ProviderId) -> Key {
    Key::of_tenant(tenant, &["integration:", provider.as_str()].concat())
}

pub(super) fn integrations(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:integrations")
}

pub(super) fn connection(tenant: &TenantId, slot: &Slot) -> Key {
    Key::of_tenant(tenant, &["connection:", &slot_member(slot)].concat())
}

/// What a record is that hand-outs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HotKind {
    ApiKey,
    Connection,
    Integration,
}

/// What a record of that name is, if hand-outs read it.
pub(super) fn hot_kind(name: &str) -> Option<HotKind> {
    let (kind, _) = of_a_tenant(name)?.split_once(':')?;
    match kind {
        "api-key" => Some(HotKind::ApiKey),
        "connection" => Some(HotKind::Connection),
        "integration" => Some(HotKind::Integration),
        _ => None,
    }
}

/// Whether servers keep anything of a record of that name.
pub(super) fn is_kept(name: &str) -> bool {
    hot_kind(name).is_some() || of_a_tenant(name) == Some("tenant")
}

/// The tenant whose own record has that name.
pub(super) fn tenant_of(name: &str) -> Option<TenantId> {
    TenantId::parse(name.strip_prefix("gk:{")?.strip_suffix("}:tenant")?)
}

/// What comes after `gk:{<tenant>}:`.
fn of_a_tenant(name: &str) -> Option<&str> {
    let (tenant, rest) = name.strip_prefix("gk:{")?.split_once("}:")?;
    (tenant.len() == TenantId::LENGTH).then_some(rest)
}

/// The `<provider>:<end user>:<account>` in the name of a connection's record.
pub(super) fn place_of_connection(key: &Key) -> Option<&str> {
    key.name().split_once(":connection:").map(|(_, place)| place)
}

/// Members are `<provider>:<end user>:<account>`, so a prefix selects a provider.
pub(super) fn connections(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:connections")
}

/// Members are `<end user>:<provider>:<account>`, so a prefix selects an end user.
pub(super) fn connections_by_end_user(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:connections-by-end-user")
}

/// Members are `<id>=<provider>:<end user>:<account>`, so a prefix finds the slot of an id.
pub(super) fn connection_ids(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:connection-ids")
}

pub(super) fn slot_member(slot: &Slot) -> String {
    [slot.provider.as_str(), ":", &part(slot.end_user.as_str()), ":", &part(slot.account.as_str())].concat()
}

pub(super) fn end_user_member(slot: &Slot) -> String {
    format!("{}:{}:{}", part(slot.end_user.as_str()), slot.provider, part(slot.account.as_str()))
}

pub(super) fn end_user_prefix(end_user: &EndUserId, provider: Option<&ProviderId>) -> String {
    let end_user = part(end_user.as_str());
    provider.map_or_else(|| format!("{end_user}:"), |provider| format!("{end_user}:{provider}:"))
}

pub(super) fn id_member(id: &ConnectionId, slot: &Slot) -> String {
    format!("{id}={}", slot_member(slot))
}

/// Reads `<provider>:<end user>:<account>`.
pub(super) fn parse_slot(member: &str) -> Option<Slot> {
    let mut parts = member.split(':');
    let (provider, end_user, account) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Slot {
        provider: ProviderId::parse(provider)?,
        end_user: EndUserId::parse(&unpart(end_user)?)?,
        account: Account::parse(&unpart(account)?)?,
    })
}

/// Reads `<end user>:<provider>:<account>`.
pub(super) fn parse_end_user_member(member: &str) -> Option<Slot> {
    let mut parts = member.split(':');
    let (end_user, provider, account) = (parts.next()?, parts.next()?, parts.next()?);
    parse_slot(&format!("{provider}:{end_user}:{account}"))
}

/// What the server comes back to by itself: members are `<time>:<provider>:<end user>:<account>`, the time in milliseconds
/// with leading zeros, so that what is due first stands in front.
pub(super) fn due(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:due")
}

pub(super) fn due_member(at: Timestamp, slot: &Slot) -> String {
    format!("{:015}:{}", at.as_millis().max(0), slot_member(slot))
}

/// Reads a member of that index.
pub(super) fn parse_due(member: &str) -> Option<(Timestamp, Slot)> {
    let (at, slot) = member.split_once(':')?;
    Some((Timestamp::from_millis(at.parse().ok()?), parse_slot(slot)?))
}

/// The parts of the hints which tenants have something due.
pub(super) fn due_shards() -> std::ops::Range<u16> {
    0..DUE_SHARDS
}

/// The part that a tenant's hints are in.
pub(super) fn due_shard(tenant: &TenantId) -> u16 {
    shard(tenant.as_str(), DUE_SHARDS)
}

/// Hints: members are `<time>:<tenant>`, the time as in [`due_member`].
pub(super) fn due_hints(shard: u16) -> Key {
    Key::of_shard("due", shard)
}

/// Who looks through a part at the moment.
pub(super) fn due_lease(shard: u16) -> Key {
    Key::alone("due-lease", &shard.to_string())
}

/// How far the store is.
pub(super) fn epoch() -> Key {
    Key::alone("epoch", "store")
}

/// What the tenant is told: a stream.
pub(super) fn events(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "events")
}

/// The audit trail of a tenant that one instance writes: a stream.
pub(super) fn audit(tenant: &TenantId, instance: &InstanceId) -> Key {
    Key::of_tenant(tenant, &format!("audit:{instance}"))
}

/// Where that trail stands.
pub(super) fn audit_head(tenant: &TenantId, instance: &InstanceId) -> Key {
    Key::of_tenant(tenant, &format!("audit-head:{instance}"))
}

/// Members are the instances that wrote a trail for the tenant.
pub(super) fn audit_instances(tenant: &TenantId) -> Key {
    Key::of_tenant(tenant, "index:audit-instances")
}

pub(super) fn session(hash: &str) -> Key {
    Key::alone("session", hash)
}

/// Where the session of a public id is found. In the tenant's own partition, so that an id leads to nothing of anybody else's.
pub(super) fn session_id(tenant: &TenantId, id: &SessionId) -> Key {
    Key::of_tenant(tenant, &format!("session-id:{id}"))
}

pub(super) fn state(hash: &str) -> Key {
    Key::alone("state", hash)
}

pub(super) fn completion(hash: &str) -> Key {
    Key::alone("completion", hash)
}

pub(super) fn email(address: &EmailAddress) -> Key {
    Key::alone("email", &sha256_hex(address.as_str().as_bytes()))
}

/// What is left of a limit, for somebody: a partition of its own.
pub(super) fn budget(kind: &str, name: &str) -> Key {
    Key::alone("budget", &sha256_hex(format!("{kind} {name}").as_bytes()))
}

pub(super) fn pending_sign_up(hash: &str) -> Key {
    Key::alone("pending-signup", hash)
}

pub(super) fn password_reset(hash: &str) -> Key {
    Key::alone("password-reset", hash)
}

/// Every shard of the index of all tenants.
pub(super) fn tenant_shards() -> impl Iterator<Item = Key> {
    (0..TENANT_SHARDS).map(|shard| Key::of_shard("tenants", shard))
}

/// The shard of the index of all tenants that this tenant is in.
pub(super) fn tenants_shard(tenant: &TenantId) -> Key {
    Key::of_shard("tenants", shard(tenant.as_str(), TENANT_SHARDS))
}

/// The partitions of the queue of mails.
pub(super) fn mail_shards() -> std::ops::Range<u16> {
    0..MAIL_SHARDS
}

/// A mail, in the partition that its id says.
pub(super) fn mail(id: &MailId) -> Key {
    Key::in_shard("mail", mail_shard(id), &format!("mail:{id}"))
}

/// The partition that a mail is in.
pub(super) fn mail_shard(id: &MailId) -> u16 {
    shard(id.as_str(), MAIL_SHARDS)
}

/// The mails of a partition, those due first in front: `<due>:<asked for>:<id>`, times in milliseconds with leading zeros.
pub(super) fn mails(shard: u16) -> Key {
    Key::in_shard("mail", shard, "index:due")
}

fn shard(id: &str, of: u16) -> u16 {
    id.bytes().fold(0_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(u16::from(byte))) % of
}

/// All tenants that are being deleted. One index: there are few at a time.
pub(super) fn tenants_leaving() -> Key {
    Key::of_shard("tenants-leaving", 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Id;

    #[test]
    fn slots_survive_their_names() {
        let slot = Slot {
            provider: ProviderId::parse("slack").unwrap(),
            end_user: EndUserId::parse("a:b%{c} é\0").unwrap(),
            account: Account::parse("").unwrap(),
        };
        assert_eq!(slot_member(&slot), "slack:a%3Ab%25%7Bc%7D%20%C3%A9%00:");
        assert_eq!(parse_slot(&slot_member(&slot)).as_ref(), Some(&slot));
        assert_eq!(parse_end_user_member(&end_user_member(&slot)), Some(slot));
    }

    #[test]
    fn a_tenant_is_one_partition() {
        let id = TenantId::parse("0123456789abcdefghijAB").unwrap();
        assert_eq!(tenant(&id).partition(), id.as_str());
        assert_eq!(tenant(&id).name(), "gk:{0123456789abcdefghijAB}:tenant");
        let mail_id = MailId::parse("0123456789abcdefghijAB").unwrap();
        let (record, index) = (mail(&mail_id), mails(mail_shard(&mail_id)));
        assert_eq!(record.partition(), index.partition());
        assert_eq!(index.name(), format!("gk:{{{}}}:index:due", record.partition()));
        assert_eq!(session("ab").name(), "gk:session:{ab}");
        assert_eq!(session("ab").partition(), "ab");
    }
}
