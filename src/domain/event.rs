//! Events: what a tenant is told of its connections and integrations. Never a token, a code or a secret.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A grant came into a slot: a first one, or another in the place of the one before.
    ConnectionCreated,
    /// New tokens came. Only told where the operator wants it: there are many.
    ConnectionRefreshed,
    /// A refresh brought nothing, the first time after a success; it is tried again.
    ConnectionFailing,
    /// Tokens can be had again.
    ConnectionRecovered,
    /// The end user has to connect again.
    ConnectionReauthorizationRequired,
    /// The provider grants less than before.
    ConnectionScopesReduced,
    /// The grant ends soon whatever is done, unless the end user connects again.
    ConnectionExpiring,
    /// A connection is gone.
    ConnectionDeleted,
    /// The provider does not take the tenant's registration.
    IntegrationMisconfigured,
}

impl EventKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ConnectionCreated,
        Self::ConnectionRefreshed,
        Self::ConnectionFailing,
        Self::ConnectionRecovered,
        Self::ConnectionReauthorizationRequired,
        Self::ConnectionScopesReduced,
        Self::ConnectionExpiring,
        Self::ConnectionDeleted,
        Self::IntegrationMisconfigured,
    ];

    /// The word in answers and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionCreated => "connection.created",
            Self::ConnectionRefreshed => "connection.refreshed",
            Self::ConnectionFailing => "connection.failing",
            Self::ConnectionRecovered => "connection.recovered",
            Self::ConnectionReauthorizationRequired => "connection.reauthorization_required",
            Self::ConnectionScopesReduced => "connection.scopes_reduced",
            Self::ConnectionExpiring => "connection.expiring",
            Self::ConnectionDeleted => "connection.deleted",
            Self::IntegrationMisconfigured => "integration.misconfigured",
        }
    }

    /// The kind of that word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// One thing that happened, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// To what, and further words, by name.
    pub about: Vec<(String, String)>,
}

impl Event {
    /// Of a kind, about nothing yet.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, about: Vec::new() }
    }

    /// Says more of it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers give ids, names and references alike")]
    pub fn about(mut self, name: &str, what: impl ToString) -> Self {
        self.about.push((name.to_owned(), what.to_string()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back_to_their_kinds() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.as_str()), Some(*kind));
        }
        assert_eq!(EventKind::parse("connection"), None);
    }
}
