//! Secrets as types: no `Display`, no `Serialize`, no `==`, and a `Debug` that says nothing.
//!
//! [`Secret::expose`] is the one word that opens them, so a search for `expose` finds every place where one leaves its type.

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// Text that must not be shown. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a value that came from outside or from chance.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The plain text. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True when there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self::new)
    }
}

macro_rules! secret_types {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Secret);

        impl $name {
            /// Wraps a value that came from outside or from chance.
            pub fn new(value: impl Into<String>) -> Self {
                Self(Secret::new(value))
            }

            /// The plain text. Whoever calls this answers for where it goes.
            pub fn expose(&self) -> &str {
                self.0.expose()
            }

            /// True when there is nothing in it.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl From<Secret> for $name {
            fn from(value: Secret) -> Self {
                Self(value)
            }
        }
    )+};
}

secret_types! {
    /// An upstream access token (RFC 6749 section 1.4).
    AccessToken,
    /// An upstream refresh token (RFC 6749 section 1.5). No route returns one.
    RefreshToken,
    /// An authorization code between the callback and its exchange (RFC 6749 section 1.3.1).
    AuthorizationCode,
    /// A client secret, API key or API secret of an integration.
    ClientSecret,
    /// A PKCE code verifier (RFC 7636 section 4.1).
    CodeVerifier,
    /// A member's password.
    Password,
    /// A 256-bit value of ours whose hash is the name of a record: session ticket, state, completion, cookie, mail token.
    Ticket,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[secret]");
        let token = AccessToken::new("hunter2");
        assert!(!format!("{token:?} {token:#?}").contains("hunter2"));
    }
}
