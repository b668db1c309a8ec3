//! Proof Key for Code Exchange (RFC 7636), S256 only.

use crate::crypto::hash;
use crate::domain::CodeVerifier;
use crate::ports::{Chance, ChanceExt};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// A new verifier: 32 bytes of chance, base64url, 43 characters (RFC 7636 section 4.1).
pub fn verifier(chance: &dyn Chance) -> CodeVerifier {
    CodeVerifier::new(chance.ticket().expose())
}

/// The S256 challenge of a verifier (RFC 7636 section 4.2).
pub fn challenge(verifier: &CodeVerifier) -> String {
    URL_SAFE_NO_PAD.encode(hash::sha256(verifier.expose().as_bytes()))
}

/// True when `verifier` is well formed and its challenge is `challenge` (RFC 7636 section 4.6). Constant time.
pub fn matches(verifier: &CodeVerifier, challenge: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let text = verifier.expose();
    (43..=128).contains(&text.len())
        && text.bytes().all(unreserved)
        && hash::same(self::challenge(verifier).as_bytes(), challenge.as_bytes())
}

/// True when `challenge` could be one: 43 base64url characters that stand for 32 bytes.
pub fn is_challenge(challenge: &str) -> bool {
    URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    struct Sevens;
    impl Chance for Sevens {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        let verifier = CodeVerifier::new(VERIFIER);
        assert_eq!(challenge(&verifier), CHALLENGE);
        assert!(matches(&verifier, CHALLENGE));
        assert!(is_challenge(CHALLENGE));
    }

    #[test]
    fn what_does_not_match() {
        for other in ["", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN", VERIFIER] {
            assert!(!matches(&CodeVerifier::new(VERIFIER), other), "{other}");
        }
        // Its challenge is right, but it is too short to be a verifier.
        let short = CodeVerifier::new("short");
        assert!(!matches(&short, &challenge(&short)));
        assert!(!is_challenge("plain") && !is_challenge(&"a".repeat(44)));
    }

    #[test]
    fn new_ones_are_well_formed() {
        let verifier = verifier(&Sevens);
        assert_eq!(verifier.expose().len(), 43);
        assert!(matches(&verifier, &challenge(&verifier)));
    }
}
