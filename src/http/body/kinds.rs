//! Field types that only requests have.

use crate::domain::Refusal;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use std::time::Duration;

struct WholeNumber(&'static str);

impl Visitor<'_> for WholeNumber {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }

    fn visit_u64<E>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }
}

/// A span given as a whole number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let seconds = from.deserialize_u64(WholeNumber("a whole number of seconds"))?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// How many items a page of a list has: 1 to 100, 50 where the caller does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Limit(pub usize);

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const ACCEPTED: &str = "a whole number from 1 to 100";
        let limit = from.deserialize_u64(WholeNumber(ACCEPTED))?;
        match usize::try_from(limit) {
            Ok(limit @ 1..=100) => Ok(Self(limit)),
            _ => Err(D::Error::invalid_value(Unexpected::Unsigned(limit), &ACCEPTED)),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "must be a string or a list of strings")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A string, or a list of strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Several(pub Vec<String>);

impl Several {
    /// Reads each; a fault names `field` and says what is `accepted`.
    pub(in crate::http) fn parsed<T>(
        &self,
        field: &str,
        accepted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Refusal> {
        let one = |text: &String| read(text).ok_or_else(|| Refusal::field(field, accepted));
        self.0.iter().map(one).collect()
    }
}

impl<'de> Deserialize<'de> for Several {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(match OneOrMany::deserialize(from)? {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(list) => list,
        }))
    }
}
