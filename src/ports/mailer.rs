//! Mail as we need it: one text to one address.

use crate::domain::EmailAddress;
use async_trait::async_trait;

/// One mail. The text holds a link with a ticket in it, so `Debug` leaves it out.
#[derive(Clone)]
pub struct Mail {
    /// Whom it goes to.
    pub to: EmailAddress,
    /// Its subject, one line.
    pub subject: String,
    /// Its plain text.
    pub text: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("to", &self.to).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a mail did not go out.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// May go through later.
    #[error("the mail could not be handed over: {0}")]
    Temporary(String),
    /// Will never go through as it is.
    #[error("the mail was refused: {0}")]
    Permanent(String),
}

/// Hands a mail to whoever delivers it.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Returns when the mail has been accepted by the next hop.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}
