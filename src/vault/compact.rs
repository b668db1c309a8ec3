//! Text in three quarters of its bytes: nearly all tokens are base64url (RFC 4648 section 5) with a dot or two, six bits of
//! news in a byte. What lies in the store by the million is decoded before it is sealed, and encoded again when it is opened.
//!
//! `count of odd characters × 4 + padding (1) | odd characters: place (2, big-endian), byte (1) | decoded bytes`. Odd is what
//! base64url has no letter for; it is taken out, and the rest padded with `A` to whole groups of four.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// Odd characters at most: their count has six bits of the first byte. Each costs what twelve others save.
const MOST_ODD: usize = 63;

/// The text packed; none where that is no shorter.
pub(super) fn pack(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let odd = text.iter().filter(|byte| !has_a_letter(**byte)).count();
    if odd > MOST_ODD || odd * 12 > text.len() {
        return None;
    }
    let padding = (text.len() - odd).next_multiple_of(4) - (text.len() - odd);
    // So large that neither grows: what they hold is wiped where it lies, not where it lay.
    let mut packed = Zeroizing::new(Vec::with_capacity(text.len() + 8));
    let mut even = Zeroizing::new(Vec::with_capacity(text.len() + 8));
    packed.push(u8::try_from(odd * 4 + padding).ok()?);
    for (place, byte) in text.iter().enumerate() {
        if has_a_letter(*byte) {
            even.push(*byte);
        } else {
            packed.extend_from_slice(&u16::try_from(place).ok()?.to_be_bytes());
            packed.push(*byte);
        }
    }
    even.extend(std::iter::repeat_n(b'A', padding));
    URL_SAFE_NO_PAD.decode_vec(even.as_slice(), &mut packed).ok()?;
    (packed.len() < text.len()).then_some(packed)
}

fn has_a_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// What [`pack`] packed; none where it is nothing of the kind.
pub(super) fn unpack(packed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (head, rest) = packed.split_first()?;
    let (odd, padding) = (usize::from(head / 4), usize::from(head % 4));
    let (odd, decoded) = rest.split_at_checked(odd * 3)?;
    let mut even = Zeroizing::new(vec![0; decoded.len().div_ceil(3) * 4]);
    let length = URL_SAFE_NO_PAD.encode_slice(decoded, &mut even).ok()?;
    even.truncate(length.checked_sub(padding)?);
    if odd.is_empty() {
        return Some(even);
    }
    let mut text = Zeroizing::new(Vec::with_capacity(even.len() + odd.len()));
    let mut even = even.iter();
    for odd in odd.chunks_exact(3) {
        let [high, low, byte] = odd.try_into().ok()?;
        while text.len() < usize::from(u16::from_be_bytes([high, low])) {
            text.push(*even.next()?);
        }
        text.push(byte);
    }
    text.extend(even);
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_shrink_and_come_back() {
        let jwt = format!("eyJhbGciOiJSUzI1NiJ9.{}.{}", "eyJzdWIi".repeat(40), "Zm9vYmFy_-".repeat(30));
        for (token, bytes) in
            [(jwt.as_str(), 481 + 6), ("xoxe.xoxp-1-Mi0yLTEyMzQ1Njc4OTAtMTIzNDU2Nzg5MA", 40)]
        {
            let packed = pack(token.as_bytes()).unwrap();
            assert!(packed.len() <= bytes, "{} bytes of {}", packed.len(), token.len());
            assert_eq!(unpack(&packed).unwrap().as_slice(), token.as_bytes());
        }
        for text in ["", "a", "abcd", "{\"a b\":[1,2,3]}", "é é é é é é é é é"] {
            assert_eq!(pack(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_was_packed_comes_back(text in "([A-Za-z0-9_-]{0,30}(\\PC|[.=+/~\u{0}])?){0,20}") {
            if let Some(packed) = pack(text.as_bytes()) {
                prop_assert!(packed.len() < text.len());
                let unpacked = unpack(&packed).unwrap();
                prop_assert_eq!(unpacked.as_slice(), text.as_bytes());
            }
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(text) = unpack(&bytes) {
                prop_assert!(text.len() <= bytes.len() * 2);
            }
        }
    }
}
