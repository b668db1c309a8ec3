//! Names for what must not lie in memory as it came: addresses and passwords as map keys, under a key of this process.

use crate::admission::network;
use crate::crypto::hash::hmac_sha256;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// A name that tells nothing without this process's key.
pub(super) type Veiled = [u8; 32];

/// Makes such names: HMAC-SHA-256 under a random key that dies with the process.
pub(super) struct Veil(Zeroizing<[u8; 32]>);

impl Veil {
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    /// The name of `parts`, each with its length before it, so that no two lists have the same bytes.
    fn of(&self, parts: &[&[u8]]) -> Veiled {
        let room = parts.iter().map(|part| part.len() + 8).sum();
        let mut message = Zeroizing::new(Vec::with_capacity(room));
        for part in parts {
            message.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            message.extend_from_slice(part);
        }
        hmac_sha256(&*self.0, &message)
    }

    /// An e-mail address, or what was given as one.
    pub fn email(&self, text: &str) -> Veiled {
        self.of(&[b"email", text.as_bytes()])
    }

    /// An e-mail address and a password together.
    pub fn login(&self, email: &str, password: &str) -> Veiled {
        self.of(&[b"login", email.as_bytes(), password.as_bytes()])
    }

    /// The network of an address, see [`network`].
    pub fn network(&self, from: IpAddr) -> Veiled {
        match network(from) {
            IpAddr::V4(v4) => self.of(&[b"v4", &v4.octets()]),
            IpAddr::V6(v6) => self.of(&[b"v6", &v6.octets()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let veil = Veil::new([1; 32]);
        assert_eq!(veil.login("a@b.c", "xyz"), veil.login("a@b.c", "xyz"));
        assert_ne!(veil.login("a@b.c", "xyz"), veil.login("a@b.cx", "yz"));
        assert_ne!(veil.login("a@b.c", ""), veil.email("a@b.c"));
        assert_ne!(veil.email("a@b.c"), Veil::new([2; 32]).email("a@b.c"));
    }

    #[test]
    fn an_ipv6_neighbourhood_is_one_network() {
        let veil = Veil::new([1; 32]);
        let of = |text: &str| veil.network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
