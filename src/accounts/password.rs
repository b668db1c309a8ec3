//! What a password must be, and its one form (NIST SP 800-63B-4 section 3.1.1.2).
//!
//! The form is the OpaqueString profile of RFC 8265 section 4.2, which RFC 7617 section 2.1 asks of Basic credentials: spaces
//! of every kind become U+0020, then NFC; case and everything else are left alone. It is applied before hashing at sign-up
//! and login alike, so that one password typed on two keyboards is one password. (NFKC would merge characters that people
//! tell apart as well.)
//!
//! No rule looks at anything but the request itself, so none tells who has an account.

use super::guessable::guessable;
use crate::domain::{EmailAddress, Password, Refusal};
use unicode_normalization::UnicodeNormalization;

const SHORTEST: usize = 15;
/// Bytes; far above every pass phrase, and bounded since every byte is hashed.
const LONGEST: usize = 1024;

/// The one form of a password.
pub(super) fn normalized(password: &Password) -> Password {
    let given = password.expose();
    // NFC makes no text more than three times as long (Unicode Standard Annex 15 section 9): with that much room the string
    // does not move as it grows and leaves no copy behind.
    let mut form = String::with_capacity(given.len() * 3);
    form.extend(given.chars().map(|c| if c.is_whitespace() && !c.is_control() { ' ' } else { c }).nfc());
    Password::new(form)
}

/// The one form of a password that somebody chose, if it will do.
pub(super) fn checked(password: &Password, email: &EmailAddress, product: &str) -> Result<Password, Refusal> {
    let refused = |detail: &str| Err(Refusal::field("password", detail));
    if password.expose().len() > LONGEST {
        return refused("must be 1024 bytes at most");
    }
    let form = normalized(password);
    let text = form.expose();
    // Each code point counts as one, as the NIST guideline says.
    if text.chars().count() < SHORTEST {
        return refused("must be 15 characters or more: a few words in a row do well, and spaces count");
    }
    if text.contains(char::is_control) {
        // RFC 7617 section 2: Basic credentials cannot hold them.
        return refused("must not contain control characters");
    }
    if guessable(text, &[email.as_str(), product]) {
        return refused(
            "is too easy to guess: it is well known, or made of repetitions, sequences, common words, the address or the product's name",
        );
    }
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<String, String> {
        let email = EmailAddress::parse("ada.lovelace@example.com").unwrap();
        match checked(&Password::new(text), &email, "Analytical Engine") {
            Ok(form) => Ok(form.expose().to_owned()),
            Err(Refusal::InvalidRequest { field: Some(field), detail }) if field == "password" => Err(detail),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn length_is_counted_in_characters_of_the_one_form() {
        let fourteen = "tülpe vierzehn";
        assert_eq!(fourteen.chars().count(), 14);
        assert!(check(fourteen).unwrap_err().contains("15 characters"));
        assert!(check("tu\u{308}lpe vierzehn").unwrap_err().contains("15 characters"));
        assert_eq!(check("tu\u{308}lpe\u{a0}fünfzehn!"), Ok("tülpe fünfzehn!".to_owned()));
    }

    #[test]
    fn length_has_an_end_and_lines_have_none() {
        let long = "0f8a6c1e9b3d7452".repeat(64);
        assert!(check(&long).is_ok());
        assert!(check(&format!("{long}x")).unwrap_err().contains("1024 bytes"));
        assert!(check("tulips\nin a green vase").unwrap_err().contains("control"));
    }

    #[test]
    fn common_ones_are_refused_and_no_composition_is_asked() {
        assert!(check("passwordpassword1").unwrap_err().contains("easy to guess"));
        assert!(check("ada.lovelace@example.com").unwrap_err().contains("easy to guess"));
        assert!(check("analytical engine").unwrap_err().contains("easy to guess"));
        assert!(check("seven tulips in a green vase").is_ok());
    }
}
