//! Passwords: argon2id (RFC 9106) as PHC strings, at the cost of OWASP's password storage cheat sheet: 19 MiB, t=2, p=1.
//!
//! One call takes some twenty milliseconds of a core and 19 MiB: whoever calls it bounds how many run at once.

use crate::domain::Password;
use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};

/// Bytes of a salt (RFC 9106 section 3.1 recommends 16).
pub const SALT: usize = 16;

/// A password could not be hashed; never the password's fault.
#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct NotHashed;

fn argon2id() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// The PHC string of `password` under `salt`.
pub fn hash(password: &Password, salt: &[u8; SALT]) -> Result<String, NotHashed> {
    let hash = argon2id().hash_password_with_salt(password.expose().as_bytes(), salt);
    hash.map(|hash| hash.to_string()).map_err(|_| NotHashed)
}

/// True when `phc` is the hash of `password`; false also where it is no PHC string.
pub fn verify(password: &Password, phc: &str) -> bool {
    PasswordHash::new(phc)
        .is_ok_and(|hash| argon2id().verify_password(password.expose().as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_what_it_hashed_and_nothing_else() {
        let phc = hash(&Password::new("correct horse battery"), &[9; SALT]).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify(&Password::new("correct horse battery"), &phc));
        assert!(!verify(&Password::new("correct horse batterY"), &phc));
        assert!(!verify(&Password::new("correct horse battery"), "no hash"));
    }
}
