//! Two kinds of scope: what an integration asks of a provider, and what an API key may do here.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::HashSet;
use std::sync::Arc;

/// Scopes of a provider: taken in as an array or a space-separated string, given out as an array, order kept, no doubles.
///
/// They lie one behind the other with a space between them, which no scope has in it (RFC 6749 section 3.3), and are shared by
/// all copies: a record is read far more often than its scopes are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Arc<str>);

/// So many are compared with each other to find doubles; more than that are remembered by their hashes.
const FEW: usize = 16;

impl Scopes {
    /// Splits at any of `separators` and at spaces, drops empty parts and doubles.
    pub fn split(text: &str, separators: &[char]) -> Self {
        text.split(separators).collect()
    }

    /// The scopes in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|scope| !scope.is_empty())
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes with `separator` between them.
    pub fn join(&self, separator: &str) -> String {
        self.0.replace(' ', separator)
    }

    /// What stands here but not in `granted`.
    #[must_use]
    pub fn missing_from(&self, granted: &Self) -> Self {
        if self == granted {
            return Self::default();
        }
        self.iter().filter(|scope| !granted.iter().any(|one| one == *scope)).collect()
    }
}

impl<'a> FromIterator<&'a str> for Scopes {
    fn from_iter<I: IntoIterator<Item = &'a str>>(scopes: I) -> Self {
        let (mut kept, mut seen) = (Vec::new(), HashSet::new());
        let parts = scopes.into_iter().flat_map(|scope| scope.split(' '));
        for scope in parts.filter(|scope| !scope.is_empty()) {
            let double = if kept.len() < FEW {
                kept.contains(&scope)
            } else {
                if seen.is_empty() {
                    seen.extend(kept.iter().copied());
                }
                !seen.insert(scope)
            };
            if !double {
                kept.push(scope);
            }
        }
        Self(kept.join(" ").into())
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
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
        let text = match OneOrMany::deserialize(from)? {
            OneOrMany::One(text) => text,
            OneOrMany::Many(list) => list.join(" "),
        };
        Ok(text.split_whitespace().collect())
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
    fn doubles_go_whether_few_or_many() {
        let many: Vec<String> = (0..3 * FEW).map(|n| format!("scope-{n}")).collect();
        let twice = [many.join(" "), many.join("  "), "scope-0 scope-40".to_owned()].join(",");
        assert_eq!(Scopes::split(&twice, &[',']).iter().collect::<Vec<_>>(), many);
        assert_eq!(Scopes::split("a,b a, ", &[',']).join("+"), "a+b");
        assert_eq!(Scopes::split(" ,", &[',']), Scopes::default());
    }

    #[test]
    fn missing_keeps_the_order_asked() {
        let asked = Scopes::split("a b c", &[' ']);
        let granted = Scopes::split("b", &[' ']);
        assert_eq!(asked.missing_from(&granted).join(","), "a,c");
    }
}
