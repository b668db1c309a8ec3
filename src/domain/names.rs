//! Names that others give: providers, end users, accounts.

use serde::{Deserialize, Deserializer, Serialize};

const LONGEST: usize = 255;

/// A provider's id: the name of its file, `[a-z0-9][a-z0-9-]*`, 64 characters at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ProviderId(String);

impl ProviderId {
    /// Accepts a well-formed id; whether such a provider exists is the catalog's to say.
    pub fn parse(text: &str) -> Option<Self> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let well_formed =
            !text.is_empty() && text.len() <= 64 && !text.starts_with('-') && text.bytes().all(good);
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ProviderId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ProviderId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("must be a provider id: lower-case letters, digits and dashes")
        })
    }
}

/// The tenant's own id of a person in its product: 1 to 255 bytes, opaque, never normalized.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct EndUserId(String);

impl EndUserId {
    /// Accepts 1 to 255 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= LONGEST).then(|| Self(text.to_owned()))
    }

    /// The id, byte for byte as the tenant gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for EndUserId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("must be 1 to 255 bytes"))
    }
}

/// The label that tells several accounts of one end user at one provider apart; empty by default, 255 bytes at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Account(String);

impl Account {
    /// Accepts up to 255 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= LONGEST).then(|| Self(text.to_owned()))
    }

    /// The label, byte for byte as the tenant gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("must be 255 bytes at most"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_ids_are_file_names() {
        for good in ["slack", "twitter-v2", "2checkout"] {
            assert!(ProviderId::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-x", "Slack", "a/b", "a.b", "a b", "é", &"a".repeat(65)] {
            assert!(ProviderId::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn end_users_are_counted_in_bytes_and_left_alone() {
        assert!(EndUserId::parse("").is_none());
        assert!(EndUserId::parse(&"é".repeat(127)).is_some());
        assert!(EndUserId::parse(&"é".repeat(128)).is_none());
        assert_eq!(EndUserId::parse(" A ").map(|e| e.as_str().to_owned()), Some(" A ".to_owned()));
    }
}
