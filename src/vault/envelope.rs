//! Envelopes: how a secret field lies in the store.
//!
//! `version (1) | data-key id (8) | nonce (12) | ciphertext and tag`. The associated data names the version and the place
//! (tenant, record kind, record id, field, generation), so that two ciphertexts swapped in the store open nothing.

use super::compact;
use crate::crypto::{aead, hash::derived_key};
use crate::domain::{DataKeyId, Id, TenantId};
use crate::ports::{Chance, ChanceExt};
use zeroize::Zeroizing;

/// What was sealed is the text itself.
const PLAIN: u8 = 1;
/// What was sealed is the text as [`compact`] packs it.
const COMPACT: u8 = 2;

/// Where a sealed field lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Whose it is.
    pub tenant: &'a TenantId,
    /// The kind of record, as in its name.
    pub kind: &'static str,
    /// The record's id; for a connection its grant id.
    pub id: &'a str,
    /// The field.
    pub field: &'static str,
    /// The generation of a connection's tokens; 0 elsewhere.
    pub generation: u64,
}

/// What the key of the audit trail is derived for.
const AUDIT: &str = "grantkeep audit v1";

/// One data key, ready to seal and open.
pub(super) struct DataKey {
    pub id: DataKeyId,
    key: aead::Key,
    /// What the tenant's audit trail is authenticated with.
    pub audit: Zeroizing<[u8; 32]>,
}

/// Sealed bytes that open in no place, or not in this one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DoesNotOpen;

impl DataKey {
    pub fn new(id: DataKeyId, bytes: &[u8; 32]) -> Self {
        Self { id, key: aead::Key::new(bytes), audit: Zeroizing::new(derived_key(bytes, AUDIT)) }
    }

    pub fn seal(
        &self,
        place: &Place<'_>,
        plaintext: &[u8],
        chance: &dyn Chance,
    ) -> Result<Vec<u8>, DoesNotOpen> {
        let nonce = chance.bytes::<{ aead::NONCE }>();
        let packed = compact::pack(plaintext);
        let (version, content) = packed.as_ref().map_or((PLAIN, plaintext), |packed| (COMPACT, packed));
        let associated = place.associated(version, &self.id);
        let sealed = self.key.seal(&nonce, &associated, content).map_err(|_| DoesNotOpen)?;
        Ok([&[version], self.id.as_str().as_bytes(), &nonce, &sealed].concat())
    }

    pub fn open(&self, place: &Place<'_>, envelope: &[u8]) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let (version, id, nonce, sealed) = split(envelope).ok_or(DoesNotOpen)?;
        if id != self.id {
            return Err(DoesNotOpen);
        }
        let associated = place.associated(version, &self.id);
        let content = self.key.open(nonce, &associated, sealed).map_err(|_| DoesNotOpen)?;
        if version == COMPACT { compact::unpack(&content).ok_or(DoesNotOpen) } else { Ok(content) }
    }
}

/// The data key under which an envelope was sealed.
pub(super) fn data_key_of(envelope: &[u8]) -> Option<DataKeyId> {
    split(envelope).map(|(_, id, ..)| id)
}

fn split(envelope: &[u8]) -> Option<(u8, DataKeyId, &[u8; aead::NONCE], &[u8])> {
    let (version, rest) = envelope.split_first()?;
    let (id, rest) = rest.split_at_checked(DataKeyId::LENGTH)?;
    let (nonce, sealed) = rest.split_first_chunk()?;
    [PLAIN, COMPACT].contains(version).then_some(())?;
    Some((*version, DataKeyId::parse(std::str::from_utf8(id).ok()?)?, nonce, sealed))
}

impl Place<'_> {
    fn associated(&self, version: u8, data_key: &DataKeyId) -> Vec<u8> {
        let parts = [data_key.as_str(), self.tenant.as_str(), self.kind, self.id, self.field];
        associated(version, &parts, self.generation)
    }
}

/// Associated data that can be read in one way only: each part behind its length.
pub(super) fn associated(version: u8, parts: &[&str], generation: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.push(version);
    for part in parts {
        bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(&generation.to_be_bytes());
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Chance that is different at every call and the same in every run.
    pub(in crate::vault) struct Dice;

    impl Chance for Dice {
        fn fill(&self, bytes: &mut [u8]) {
            use std::sync::atomic::{AtomicU8, Ordering};
            static NEXT: AtomicU8 = AtomicU8::new(1);
            for byte in bytes {
                *byte = NEXT.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn an_envelope_opens_in_its_place_only() {
        let (a, b) = ("a".repeat(22), "b".repeat(22));
        let (a, b) = (TenantId::parse(&a).unwrap(), TenantId::parse(&b).unwrap());
        let key = DataKey::new(DataKeyId::parse("abcdefgh").unwrap(), &[3; 32]);
        let here = Place { tenant: &a, kind: "connection", id: "g1", field: "access_token", generation: 4 };
        let envelope = key.seal(&here, b"token", &Dice).unwrap();
        assert_eq!(key.open(&here, &envelope).unwrap().as_slice(), b"token");
        let elsewhere = [
            Place { tenant: &b, ..here },
            Place { kind: "integration", ..here },
            Place { id: "g2", ..here },
            Place { field: "refresh_token", ..here },
            Place { generation: 5, ..here },
        ];
        for place in elsewhere {
            assert!(key.open(&place, &envelope).is_err(), "{place:?}");
        }
    }

    #[test]
    fn no_envelope_of_any_shape_panics() {
        let tenant = TenantId::parse(&"a".repeat(22)).unwrap();
        let key = DataKey::new(DataKeyId::parse("abcdefgh").unwrap(), &[3; 32]);
        let here = Place { tenant: &tenant, kind: "k", id: "i", field: "f", generation: 0 };
        let good = key.seal(&here, b"token", &Dice).unwrap();
        for length in 0..good.len() {
            assert!(key.open(&here, &good[..length]).is_err());
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(key.open(&here, &bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn parts_cannot_be_shifted() {
        assert_ne!(associated(1, &["ab", "c"], 0), associated(1, &["a", "bc"], 0));
    }
}
