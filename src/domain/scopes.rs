//! Two kinds of scope: what an integration asks of a provider, and what an API key may do here.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashSet;

/// Scopes of a provider: taken in as an array or a space-separated string, given out as an array, order kept, no doubles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Scopes(Vec<String>);

impl Scopes {
    /// Splits at any of `separators`, drops empty parts and doubles.
    pub fn split(text: &str, separators: &[char]) -> Self {
        text.split(|c| separators.contains(&c)).map(str::to_owned).collect()
    }

    /// The scopes in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes with `separator` between them.
    pub fn join(&self, separator: &str) -> String {
        self.0.join(separator)
    }

    /// What stands here but not in `granted`.
    #[must_use]
    pub fn missing_from(&self, granted: &Self) -> Self {
        self.iter().filter(|s| !granted.0.iter().any(|g| g == s)).map(str::to_owned).collect()
    }
}

impl FromIterator<String> for Scopes {
    fn from_iter<I: IntoIterator<Item = String>>(scopes: I) -> Self {
        let mut seen = HashSet::new();
        Self(scopes.into_iter().filter(|scope| !scope.is_empty() && seen.insert(scope.clone())).collect())
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be an array of strings or a space-separated string")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let parts = match OneOrMany::deserialize(from)? {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(list) => list,
        };
        Ok(parts.iter().flat_map(|part| part.split_whitespace()).map(str::to_owned).collect())
    }
}

macro_rules! key_scopes {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// What an API key may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each name says what its text says")]
        pub enum KeyScope { $($name),+ }

        impl KeyScope {
            /// All of them: what a key without a list may do.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The scope as it stands in requests and records.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// The scope of that text.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

key_scopes! {
    TokensRead = "tokens:read",
    ConnectionsRead = "connections:read",
    ConnectionsWrite = "connections:write",
    IntegrationsRead = "integrations:read",
    IntegrationsWrite = "integrations:write",
    KeysWrite = "keys:write",
    AuditRead = "audit:read",
    WebhooksWrite = "webhooks:write",
    ClientsWrite = "clients:write",
    TenantWrite = "tenant:write",
}

/// The scopes of one API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyScopes(Vec<KeyScope>);

impl KeyScopes {
    /// Every scope: a key that was made without a list, and a member's password.
    pub fn all() -> Self {
        Self(KeyScope::ALL.to_vec())
    }

    /// Reads a list; the first unknown name is the error.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        names
            .into_iter()
            .map(|name| KeyScope::parse(name).ok_or_else(|| name.to_owned()))
            .collect::<Result<Vec<_>, _>>()
            .map(Self)
    }

    /// True when `scope` is among them.
    pub fn contains(&self, scope: KeyScope) -> bool {
        self.0.contains(&scope)
    }

    /// True when every scope of `other` is among them.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|scope| self.contains(*scope))
    }

    /// The names, in the order given.
    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|scope| scope.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_come_in_both_shapes() {
        let string: Scopes = serde_json::from_str(r#""read write read""#).unwrap();
        let array: Scopes = serde_json::from_str(r#"["read", "write"]"#).unwrap();
        assert_eq!(string, array);
        assert_eq!(serde_json::to_string(&string).unwrap(), r#"["read","write"]"#);
        assert!(serde_json::from_str::<Scopes>("3").is_err());
    }

    #[test]
    fn missing_keeps_the_order_asked() {
        let asked = Scopes::split("a b c", &[' ']);
        let granted = Scopes::split("b", &[' ']);
        assert_eq!(asked.missing_from(&granted).join(","), "a,c");
    }
}
