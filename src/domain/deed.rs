//! Deeds: who did what to what, and how it ended. The words of the audit trail.

use super::{ApiKeyId, MemberId, SessionId};
use std::net::IpAddr;

/// Who does something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The holder of this API key.
    Key(ApiKeyId),
    /// This member, by password.
    Member(MemberId),
    /// A browser that holds the link or the state of this session.
    Browser(SessionId),
    /// Whoever holds the link of a mail.
    Link,
    /// An operator, at the command line.
    Operator,
    /// Grantkeep by itself.
    Grantkeep,
}

/// Who does something, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub who: Who,
    /// The network address it came from, where it is known.
    pub address: Option<IpAddr>,
    /// The id of the request it came with.
    pub request: Option<String>,
}

/// When the hand-out of a token is recorded. What is refused is recorded in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandoutRecords {
    /// Before the token leaves.
    #[default]
    Before,
    /// A moment later.
    Behind,
    /// Never.
    Off,
}

impl HandoutRecords {
    /// The word for it in settings.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "before" => Some(Self::Before),
            "behind" => Some(Self::Behind),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The network address, where it is known.
    pub address: Option<IpAddr>,
    /// The request's id; empty where there is none.
    pub request: String,
}

impl Who {
    /// The kind of actor, as it stands in records and answers.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Key(_) => "api_key",
            Self::Member(_) => "member",
            Self::Browser(_) => "browser",
            Self::Link => "link",
            Self::Operator => "operator",
            Self::Grantkeep => "grantkeep",
        }
    }

    /// Which one of its kind, where there are several.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Key(id) => Some(id.as_str()),
            Self::Member(id) => Some(id.as_str()),
            Self::Browser(id) => Some(id.as_str()),
            Self::Link | Self::Operator | Self::Grantkeep => None,
        }
    }

    /// From `address`.
    pub fn at(self, address: Option<IpAddr>) -> Actor {
        Actor { who: self, address, request: None }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident: $word:literal),+ $(,)?) => {
        /// What was done, or tried.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action { $($(#[$doc])* $name),+ }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The word in records, answers and filters.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// The action of that word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.as_str() == word)
            }
        }
    };
}

actions! {
    /// An access token was handed out, or asked for in vain.
    TokenHandedOut: "token.handed_out",
    /// A grant came into an empty slot.
    ConnectionCreated: "connection.created",
    /// A new grant came into a slot that had one.
    ConnectionReconnected: "connection.reconnected",
    /// A grant was brought along by the tenant.
    ConnectionImported: "connection.imported",
    /// New tokens of the same grant.
    ConnectionRefreshed: "connection.refreshed",
    /// A connection was revoked and forgotten.
    ConnectionDeleted: "connection.deleted",
    /// An authorization was begun for an end user.
    SessionCreated: "session.created",
    /// A browser opened its link.
    SessionOpened: "session.opened",
    /// A browser came back from the provider.
    SessionReturned: "session.returned",
    /// The tenant's backend ended it.
    SessionCompleted: "session.completed",
    /// A provider was enabled.
    IntegrationCreated: "integration.created",
    /// An integration was changed or replaced.
    IntegrationChanged: "integration.changed",
    /// An integration was removed.
    IntegrationDeleted: "integration.deleted",
    /// An API key was made.
    ApiKeyCreated: "api_key.created",
    /// An API key was revoked.
    ApiKeyRevoked: "api_key.revoked",
    /// A sign-up was verified.
    TenantCreated: "tenant.created",
    /// The product's name was changed.
    TenantChanged: "tenant.changed",
    /// The tenant asked to be deleted.
    TenantDeleted: "tenant.deleted",
    /// A mail to set a new password was asked for by whoever knows the address.
    PasswordForgotten: "password.forgotten",
    /// A new password was set.
    PasswordReset: "password.reset",
    /// The audit trail was read.
    AuditRead: "audit.read",
}

/// One thing that was done, or tried, for the audit trail. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// What.
    pub action: Action,
    /// On what, as names and ids: `provider`, `end_user`, `account`, `connection`, `api_key`, `session` and the like.
    pub about: Vec<(&'static str, String)>,
    /// `ok`, or the code of the refusal.
    pub outcome: &'static str,
}

impl Deed {
    /// A deed that was done.
    pub fn done(action: Action) -> Self {
        Self { action, about: Vec::new(), outcome: "ok" }
    }

    /// A deed with the outcome of `work`.
    pub fn of<T>(action: Action, work: &Result<T, super::Refusal>) -> Self {
        Self { outcome: work.as_ref().map_or_else(super::Refusal::code, |_| "ok"), ..Self::done(action) }
    }

    /// Says what it was done to.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers give ids, names and references alike")]
    pub fn about(mut self, name: &'static str, what: impl ToString) -> Self {
        self.about.push((name, what.to_string()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_actions() {
        for action in Action::ALL {
            assert_eq!(Action::parse(action.as_str()), Some(*action));
        }
        assert_eq!(Action::parse("token"), None);
    }
}
