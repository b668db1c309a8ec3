//! The API key as text: `gk_<tenant>_<id>_<secret><checksum>`, 92 characters of base62.
//!
//! The tenant's id lets the key's record and a connection be read in one trip. The checksum is no security: it lets junk be
//! refused without a look-up, and secret scanners see a key. It is the CRC-32 (ISO-HDLC) of everything before it, in base62,
//! most significant digit first.

use crate::crypto::hash::sha256_hex;
use crate::domain::{ApiKeyId, BASE62, Id, Secret, TenantId, is_base62};
use crate::ports::{Chance, ChanceExt};

const PREFIX: &str = "gk_";
/// 43 of 62 characters hold 256 bits.
const SECRET: usize = 43;
const CHECKSUM: usize = 6;
const LENGTH: usize = PREFIX.len() + TenantId::LENGTH + 1 + ApiKeyId::LENGTH + 1 + SECRET + CHECKSUM;

/// The parts of a key that is well formed; whether it is a good one is not known.
pub(super) struct ApiKeyText<'a> {
    pub tenant: TenantId,
    pub id: ApiKeyId,
    secret: &'a str,
}

impl<'a> ApiKeyText<'a> {
    /// Takes a key apart. None where it is not one of ours.
    pub fn parse(key: &'a Secret) -> Option<Self> {
        let text = key.expose();
        if text.len() != LENGTH {
            return None;
        }
        let (body, sum) = text.split_at_checked(LENGTH - CHECKSUM)?;
        if checksum(body) != sum {
            return None;
        }
        let mut parts = body.strip_prefix(PREFIX)?.splitn(3, '_');
        let tenant = TenantId::parse(parts.next()?)?;
        let id = ApiKeyId::parse(parts.next()?)?;
        let secret = parts.next().filter(|secret| is_base62(secret))?;
        Some(Self { tenant, id, secret })
    }

    /// What the record keeps of the secret: its SHA-256. It needs no slow hash, since it cannot be guessed.
    pub fn secret_hash(&self) -> String {
        sha256_hex(self.secret.as_bytes())
    }
}

/// A new key of these ids: the key as it is shown once, and what the record keeps of its secret.
pub(super) fn mint(tenant: &TenantId, id: &ApiKeyId, chance: &dyn Chance) -> (Secret, String) {
    let secret = Secret::new(chance.base62(SECRET));
    let body = Secret::new(format!("{PREFIX}{tenant}_{id}_{}", secret.expose()));
    let key = Secret::new(format!("{}{}", body.expose(), checksum(body.expose())));
    (key, sha256_hex(secret.expose().as_bytes()))
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        let value = usize::try_from(rest % 62).ok();
        *digit = value.and_then(|value| BASE62.get(value)).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Counts up, so that every key of a test is another one.
    struct Counting(std::sync::atomic::AtomicU8);

    impl Chance for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(7, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    fn key(from: u8) -> (Secret, String) {
        let chance = Counting(from.into());
        mint(&chance.id(), &chance.id(), &chance)
    }

    #[test]
    fn a_minted_key_comes_apart_again() {
        let (key, hash) = key(1);
        assert_eq!(key.expose().len(), 92);
        let text = ApiKeyText::parse(&key).unwrap();
        assert!(key.expose().starts_with(&format!("gk_{}_{}_", text.tenant, text.id)));
        assert_eq!(text.secret.len(), SECRET);
        assert_eq!(text.secret_hash(), hash);
    }

    #[test]
    fn known_answers() {
        // From zlib.crc32 of Python, in base62.
        assert_eq!(checksum("123456789"), "3jZRME");
        assert_eq!(checksum(""), "000000");
    }

    #[test]
    fn a_checksum_alone_makes_no_key() {
        let tenant = "0".repeat(22);
        for body in [
            format!("gk_{tenant}_{}_{}", "1".repeat(16), "-".repeat(43)),
            format!("gk_{tenant}_{}_{}", "1".repeat(17), "2".repeat(42)),
            format!("xx_{tenant}_{}_{}", "1".repeat(16), "2".repeat(43)),
            format!("gk_{tenant}_{}_{}", "1".repeat(16), "é".repeat(21) + "a"),
        ] {
            assert_eq!(body.len(), 86);
            let sum = checksum(&body);
            assert!(ApiKeyText::parse(&Secret::new(body + &sum)).is_none());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_passes(text in ".{0,120}") {
            prop_assert!(ApiKeyText::parse(&Secret::new(text)).is_none());
        }

        #[test]
        fn text_of_the_right_length_does_neither(text in "gk_[0-9A-Za-z]{22}_[0-9A-Za-z]{16}_[0-9A-Za-zé]{49}") {
            // One in 2^32 has the right checksum by chance.
            prop_assert!(ApiKeyText::parse(&Secret::new(text)).is_none());
        }

        #[test]
        fn one_changed_character_is_refused(from: u8, at in 0_usize..LENGTH, to in "[ -~]") {
            let (key, _) = key(from);
            let mut changed = key.expose().to_owned();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != key.expose());
            prop_assert!(ApiKeyText::parse(&Secret::new(changed)).is_none());
        }
    }
}
