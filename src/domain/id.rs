//! Random ids: base62, of a fixed length each, safe in URLs, file names and keys.

use arrayvec::ArrayString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What all ids have in common, so that one function of the chance port can make any of them.
pub trait Id: Sized {
    /// Length in characters.
    const LENGTH: usize;
    /// Accepts exactly [`Self::LENGTH`] base62 characters.
    fn parse(text: &str) -> Option<Self>;
}

/// The digits of base62, in the order of their value.
pub const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// True when every character is one of [`BASE62`].
pub fn is_base62(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident: $length:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(ArrayString<$length>);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Id for $name {
            const LENGTH: usize = $length;
            fn parse(text: &str) -> Option<Self> {
                if text.len() != $length || !is_base62(text) {
                    return None;
                }
                ArrayString::from(text).ok().map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::parse(&text).ok_or_else(|| {
                    serde::de::Error::custom(concat!("must be ", $length, " letters and digits"))
                })
            }
        }
    )+};
}

ids! {
    /// One history of a store: it goes on until an operator begins another.
    LineId: 22,
    /// A company that signed up. Comes from credentials only, never from a request's own fields.
    TenantId: 22,
    /// A person with a password in a tenant.
    MemberId: 16,
    /// The public part of an API key.
    ApiKeyId: 16,
    /// A connection's stable public id.
    ConnectionId: 22,
    /// One grant of a connection; new at each connect, bound into every sealed token of it.
    GrantId: 22,
    /// A session's public id, good for logs.
    SessionId: 22,
    /// One data key of a tenant; stands in every envelope sealed under it.
    DataKeyId: 8,
    /// A mail that waits to be handed over.
    MailId: 22,
    /// A server process's own place: its data folder, and the audit trails that it writes.
    InstanceId: 16,
    /// One attempt to refresh; the fence of its write.
    AttemptId: 16,
}
