//! Mail as we need it: one text, in two forms, to one address.
//!
//! The errors tell apart what the queue of mails must tell apart: what may be tried again, what may have arrived, what the
//! operator has to mend, and what is over.

use crate::domain::EmailAddress;
use async_trait::async_trait;

/// One mail. The text may hold a link with a ticket in it, so `Debug` leaves it out.
#[derive(Clone)]
pub struct Mail {
    /// Whom it goes to.
    pub to: EmailAddress,
    /// Its subject, one line.
    pub subject: String,
    /// Its plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("to", &self.to).field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// Why a mail did not go out. The texts name no recipient.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum MailError {
    /// It was not accepted, and may be later.
    #[error("the mail server does not take mail at the moment: {0}")]
    Temporary(String),
    /// It was handed over whole and the answer is missing: it may have been accepted.
    #[error("the mail may or may not have been accepted: {0}")]
    Unknown(String),
    /// No mail goes out until the operator has mended something: login, TLS, sender.
    #[error("the mail server does not take mail from us as things are set: {0}")]
    Setup(String),
    /// This one will never be accepted.
    #[error("the mail was refused: {0}")]
    Permanent(String),
}

/// Hands a mail to whoever delivers it.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Returns when the mail has been accepted by the next hop.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;

    /// Goes as far as a mail would need it, TLS and login included, and sends none.
    async fn check(&self) -> Result<(), MailError>;
}
