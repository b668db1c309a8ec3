//! The master keyring: it wraps and unwraps data keys and touches nothing else.

use crate::crypto::aead;
use crate::domain::{DataKeyId, Id, TenantId};
use crate::ports::{Chance, ChanceExt};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::envelope::associated;

const VERSION: u8 = 1;

/// The master keys: the first wraps, all unwrap.
pub struct Keyring {
    keys: Vec<(String, aead::Key)>,
}

/// Why a wrapped data key could not be unwrapped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotUnwrapped {
    /// The master key of this id is not in the ring.
    NoSuchKey(String),
    /// It is not what was wrapped for this tenant.
    Damaged,
}

impl Keyring {
    /// A ring of these keys, the one that wraps first. None where the list is empty.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a [u8; 32])>) -> Option<Self> {
        let keys: Vec<_> =
            keys.into_iter().map(|(id, bytes)| (id.to_owned(), aead::Key::new(bytes))).collect();
        (!keys.is_empty()).then_some(Self { keys })
    }

    /// The ids of the master keys, the one that wraps first.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// Wraps a data key as `<data-key id>.<master-key id>.<base64url of nonce and ciphertext>`: an operator can see under
    /// which master key it lies.
    pub(super) fn wrap(
        &self,
        tenant: &TenantId,
        id: &DataKeyId,
        data_key: &[u8; 32],
        chance: &dyn Chance,
    ) -> Option<String> {
        let (master, key) = self.keys.first()?;
        let nonce = chance.bytes::<{ aead::NONCE }>();
        let sealed = key.seal(&nonce, &place(tenant, id.as_str(), master), data_key).ok()?;
        let text = URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat());
        Some(format!("{id}.{master}.{text}"))
    }

    /// Unwraps what [`Self::wrap`] made for this tenant.
    pub(super) fn unwrap(
        &self,
        tenant: &TenantId,
        wrapped: &str,
    ) -> Result<(DataKeyId, Zeroizing<[u8; 32]>), NotUnwrapped> {
        let mut parts = wrapped.splitn(3, '.');
        let (Some(id), Some(master), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NotUnwrapped::Damaged);
        };
        let (_, key) = self
            .keys
            .iter()
            .find(|(name, _)| name == master)
            .ok_or_else(|| NotUnwrapped::NoSuchKey(master.to_owned()))?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotUnwrapped::Damaged)?;
        let (nonce, sealed) = bytes.split_first_chunk::<{ aead::NONCE }>().ok_or(NotUnwrapped::Damaged)?;
        let plain = key.open(nonce, &place(tenant, id, master), sealed).map_err(|_| NotUnwrapped::Damaged)?;
        let data_key: &[u8; 32] = plain.as_slice().try_into().map_err(|_| NotUnwrapped::Damaged)?;
        let id = DataKeyId::parse(id).ok_or(NotUnwrapped::Damaged)?;
        Ok((id, Zeroizing::new(*data_key)))
    }
}

/// The master key that a wrapped data key says it lies under.
pub(super) fn master_of(wrapped: &str) -> Option<&str> {
    wrapped.split('.').nth(1)
}

fn place(tenant: &TenantId, data_key: &str, master: &str) -> Vec<u8> {
    associated(VERSION, &["data-key", tenant.as_str(), data_key, master], 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::envelope::tests::Dice;

    fn tenant(letter: char) -> TenantId {
        TenantId::parse(&letter.to_string().repeat(22)).unwrap()
    }

    #[test]
    fn a_data_key_opens_for_its_tenant_under_its_master_key() {
        let old = Keyring::new([("old", &[1; 32])]).unwrap();
        let both = Keyring::new([("new", &[2; 32]), ("old", &[1; 32])]).unwrap();
        let id = DataKeyId::parse("abcdefgh").unwrap();
        let wrapped = old.wrap(&tenant('a'), &id, &[7; 32], &Dice).unwrap();
        assert_eq!(*both.unwrap(&tenant('a'), &wrapped).unwrap().1, [7; 32]);
        assert_eq!(both.unwrap(&tenant('b'), &wrapped).unwrap_err(), NotUnwrapped::Damaged);
        let new = Keyring::new([("new", &[2; 32])]).unwrap();
        assert_eq!(new.unwrap(&tenant('a'), &wrapped).unwrap_err(), NotUnwrapped::NoSuchKey("old".into()));
    }

    #[test]
    fn ids_of_a_wrapped_key_cannot_be_changed() {
        let ring = Keyring::new([("a", &[1; 32]), ("b", &[1; 32])]).unwrap();
        let id = DataKeyId::parse("abcdefgh").unwrap();
        let wrapped = ring.wrap(&tenant('a'), &id, &[7; 32], &Dice).unwrap();
        for changed in [wrapped.replace("abcdefgh", "abcdefgi"), wrapped.replace(".a.", ".b.")] {
            assert_eq!(ring.unwrap(&tenant('a'), &changed).unwrap_err(), NotUnwrapped::Damaged);
        }
    }
}
