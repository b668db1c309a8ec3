//! Cursors of lists: a position, base64url, opaque to whoever holds it.
//!
//! A position is looked up within the caller's own tenant, so a made-up one shows nothing of anybody else's.

use crate::domain::Refusal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The cursor of a position.
pub(super) fn of(position: &str) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

/// The position of a cursor.
pub(super) fn position(cursor: &str) -> Result<String, Refusal> {
    let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.filter(|text| !text.is_empty()).ok_or_else(not_one)
}

/// What is no cursor of ours.
pub(super) fn not_one() -> Refusal {
    Refusal::field("cursor", "must be the next_cursor of an earlier answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let cursor = of("slack:jö:%2F");
        assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(position(&cursor), Ok("slack:jö:%2F".to_owned()));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for bad in ["", "!", "abc=", "_w"] {
            assert!(position(bad).is_err(), "{bad}");
        }
    }
}
