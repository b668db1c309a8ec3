//! Chance as an argument: cryptographically secure in production, seeded in tests.

use crate::domain::{BASE62, Id, Ticket};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// A source of unpredictable bytes (OWASP ASVS 5.0 section 11.5.1).
pub trait Chance: Send + Sync {
    /// Fills the whole of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// What is made of chance.
pub trait ChanceExt {
    /// `length` characters of `0-9A-Za-z`, each equally likely.
    fn base62(&self, length: usize) -> String;
    /// A new id.
    fn id<T: Id>(&self) -> T;
    /// 256 bits, base64url without padding: 43 characters.
    fn ticket(&self) -> Ticket;
    /// A fresh array, for keys, salts and nonces.
    fn bytes<const N: usize>(&self) -> [u8; N];
}

impl<C: Chance + ?Sized> ChanceExt for C {
    fn base62(&self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        let mut pool = [0_u8; 64];
        while text.len() < length {
            self.fill(&mut pool);
            // 248 = 4 * 62: what lies above would make the first letters likelier.
            let fair = pool.iter().filter(|byte| **byte < 248);
            let letters = fair.filter_map(|byte| BASE62.get(usize::from(byte % 62)));
            text.extend(letters.take(length - text.len()).map(|letter| char::from(*letter)));
        }
        text
    }

    fn id<T: Id>(&self) -> T {
        loop {
            if let Some(id) = T::parse(&self.base62(T::LENGTH)) {
                return id;
            }
        }
    }

    fn ticket(&self) -> Ticket {
        Ticket::new(URL_SAFE_NO_PAD.encode(self.bytes::<32>()))
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}
