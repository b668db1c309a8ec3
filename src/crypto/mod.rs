//! The tools: cryptography behind names that say what it is for. The only room that knows a cipher or a hash.

pub mod aead;
pub mod hash;
pub mod password;
