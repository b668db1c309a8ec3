//! Digests: SHA-256 (FIPS 180-4), HMAC (RFC 2104), comparison in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The SHA-256 of `bytes` as 64 lower-case hexadecimal digits: how records are named after a secret.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.push(digit(byte >> 4));
        digits.push(digit(byte & 15));
    }
    digits
}

/// The first 32 bytes of HKDF-Expand (RFC 5869 section 2.3) with SHA-256: a key for one purpose, out of a key whose bytes are
/// random already (section 3.3 lets such a one go without the extraction).
pub fn derived_key(key: &[u8; 32], purpose: &str) -> [u8; 32] {
    hmac_sha256(key, &[purpose.as_bytes(), &[1]].concat())
}

/// HMAC-SHA-256 of `message` under `key`, of any length.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // RFC 2104 section 2: a key longer than the block is hashed, a shorter one is padded with zeros.
    let mut block = [0; 64];
    let digest;
    let short = if key.len() > block.len() {
        digest = sha256(key);
        &digest[..]
    } else {
        key
    };
    block.iter_mut().zip(short).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Equality that takes the same time wherever the two differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // RFC 4231 has no 32-byte key; this one is from openssl dgst -mac HMAC.
        let mac = hmac_sha256(&[0x0b; 32], b"Hi There");
        assert_eq!(mac.first_chunk::<4>(), Some(&[0x19, 0x8a, 0x60, 0x7e]));
    }

    #[test]
    fn a_long_key_is_hashed() {
        // RFC 4231, test case 6.
        let mac = hmac_sha256(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(mac.first_chunk::<4>(), Some(&[0x60, 0xe4, 0x31, 0x59]));
    }

    #[test]
    fn a_key_is_derived_as_hkdf_does() {
        // RFC 5869, test case 3: no salt, no info; the pseudorandom key of the extraction, and the first block that follows.
        let bytes = |hex: &str| -> [u8; 32] {
            let byte = |n: usize| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap();
            std::array::from_fn(byte)
        };
        let key = bytes("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
        let block = bytes("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
        assert_eq!(derived_key(&key, ""), block);
        assert_ne!(derived_key(&key, "a"), derived_key(&key, "b"));
    }

    #[test]
    fn same_means_equal() {
        assert!(same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }
}
