//! What became of a session, as its tenant may ask by the public id.

use super::Broker;
use crate::domain::{Refusal, SessionId};
use crate::vault::{Authority, Session, SessionState};

impl Broker {
    /// The session of a public id and the word for where it stands: that of its state, or `expired`.
    pub async fn session(&self, by: &Authority, id: &SessionId) -> Result<(Session, &'static str), Refusal> {
        let found = self.vault.sessions().by_id(id, by).await?;
        let session = found.ok_or_else(|| Refusal::NotFound { what: "a session of that id".to_owned() })?;
        let (end, now) = (session.made.expires_at, self.ports.clock.now());
        let over = match session.state {
            SessionState::Pending | SessionState::Returned => end <= now,
            // Past that, whoever exchanged it was killed in the middle.
            SessionState::Exchanging => end.plus(self.settings.upstream_timeout) <= now,
            SessionState::Completed(_) | SessionState::Denied | SessionState::Failed(_) => false,
        };
        let word = if over { "expired" } else { session.state.word() };
        Ok((session, word))
    }
}
