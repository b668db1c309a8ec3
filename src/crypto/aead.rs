//! Sealing: AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce.
//!
//! A key may seal 2^32 messages under random nonces (SP 800-38D section 8.3); a tenant's data key stays far below.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

/// Bytes of a nonce.
pub const NONCE: usize = 12;

/// A 256-bit key, wiped when dropped, its schedule computed once.
pub struct Key {
    cipher: Aes256Gcm,
}

/// The ciphertext is not what was sealed under this key for this place.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the sealed value does not open: it was changed, moved, or sealed under another key")]
pub struct DoesNotOpen;

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self { cipher: Aes256Gcm::new(bytes.into()) }
    }

    /// Seals `plaintext`, bound to `associated`. Returns ciphertext and tag; the nonce travels beside it.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, DoesNotOpen> {
        let payload = Payload { msg: plaintext, aad: associated };
        self.cipher.encrypt(&Nonce::from(*nonce), payload).map_err(|_| DoesNotOpen)
    }

    /// Opens what [`Self::seal`] made with the same nonce and associated data.
    pub fn open(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
        let payload = Payload { msg: sealed, aad: associated };
        self.cipher.decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| DoesNotOpen)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_in_its_place() {
        let key = Key::new(&[7; 32]);
        let sealed = key.seal(&[1; 12], b"here", b"secret").unwrap();
        assert_eq!(key.open(&[1; 12], b"here", &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open(&[1; 12], b"there", &sealed).is_err());
        assert!(key.open(&[2; 12], b"here", &sealed).is_err());
        assert!(Key::new(&[8; 32]).open(&[1; 12], b"here", &sealed).is_err());
    }
}
