//! Mails by SMTP (RFC 5321), handed to a submission server (RFC 6409).
//!
//! `smtps://` is TLS from the first byte (RFC 8314 section 3.3). `smtp://` insists on STARTTLS (RFC 3207), since links in
//! mails are as good as passwords; on loopback it is plain, where nobody listens in and servers for development have no
//! certificate, unless `?tls=required` says otherwise. Certificates are checked against the system's roots.

mod bytewise;
mod talk;
#[cfg(test)]
mod tests;

use super::message::{self, BadSender};
use crate::domain::Secret;
use crate::ports::{Chance, Clock, Mail, MailError, Mailer};
use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use url::Url;

/// The mailer cannot be set up. Quotes nothing: the URL may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum BadMailSetup {
    /// Not the URL of a mail server.
    #[error("mail.url is not smtp://[user:password@]host[:port] or smtps://…, percent-encoded where needed")]
    Url,
    /// No TLS on this machine.
    #[error(
        "TLS to the mail server is impossible: {0}; is there a bundle of root certificates (ca-certificates)?"
    )]
    Tls(String),
    /// Not a sender.
    #[error(transparent)]
    Sender(#[from] BadSender),
}

/// A submission server that mails are handed to, on a connection of its own each.
pub struct SmtpMailer {
    host: String,
    port: u16,
    /// Absent where the connection stays plain.
    tls: Option<TlsParameters>,
    /// True where TLS begins after STARTTLS, false where with the first byte.
    starttls: bool,
    credentials: Option<Credentials>,
    /// For one mail, from the look-up to the server's last word.
    timeout: Duration,
    from: Mailbox,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl SmtpMailer {
    /// Mails go to the server of `url`; `from` is an address, or `Name <address>`. One mail may take as long as `timeout`.
    pub fn new(
        url: &Secret,
        from: &str,
        timeout: Duration,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, BadMailSetup> {
        let url = Url::parse(url.expose()).map_err(|_| BadMailSetup::Url)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadMailSetup::Url)?;
        // Brackets belong to the URL, not to the address.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let required = url.query() == Some("tls=required");
        let security = Security::of(url.scheme(), host, required).ok_or(BadMailSetup::Url)?;
        let tls = match security {
            Security::Plain => None,
            Security::StartTls | Security::Tls => {
                let parameters = TlsParameters::new(host.to_owned());
                Some(parameters.map_err(|error| BadMailSetup::Tls(error.to_string()))?)
            }
        };
        let plain = |text| percent_decode_str(text).decode_utf8().map_err(|_| BadMailSetup::Url);
        let credentials = match url.password() {
            Some(password) => {
                Some(Credentials::new(plain(url.username())?.into_owned(), plain(password)?.into_owned()))
            }
            None => None,
        };
        Ok(Self {
            host: host.to_owned(),
            port: url.port().unwrap_or(security.port()),
            tls,
            starttls: security == Security::StartTls,
            credentials,
            timeout,
            from: message::sender(from)?,
            clock,
            chance,
        })
    }
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    Plain,
    StartTls,
    Tls,
}

impl Security {
    fn of(scheme: &str, host: &str, required: bool) -> Option<Self> {
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        match scheme {
            "smtps" => Some(Self::Tls),
            "smtp" if loopback && !required => Some(Self::Plain),
            "smtp" => Some(Self::StartTls),
            _ => None,
        }
    }

    /// RFC 6409 section 3.1, RFC 8314 section 3.3.
    fn port(self) -> u16 {
        match self {
            Self::Plain | Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message::message(mail, &self.from, &*self.clock, &*self.chance)?;
        let (envelope, text) = (message.envelope(), message.formatted());
        let handed = AtomicBool::new(false);
        let talk = async {
            let mut connection = talk::open(self).await?;
            let outcome = talk::hand_over(&mut connection, envelope, &text, &handed).await;
            Ok::<_, MailError>((connection, outcome))
        };
        let outcome = match tokio::time::timeout(self.timeout, talk).await {
            Ok(Ok((connection, outcome))) => {
                talk::farewell(connection).await;
                outcome
            }
            Ok(Err(error)) => Err(error),
            Err(_) if handed.load(Ordering::Relaxed) => Err(MailError::Unknown(
                "the mail server took it and did not say in time whether it keeps it".to_owned(),
            )),
            Err(_) => Err(MailError::Temporary("the mail server did not answer in time".to_owned())),
        };
        outcome.map_err(|error| nameless(error, mail.to.as_str()))
    }

    async fn check(&self) -> Result<(), MailError> {
        match tokio::time::timeout(self.timeout, talk::open(self)).await {
            Ok(Ok(connection)) => {
                talk::farewell(connection).await;
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(MailError::Temporary("the mail server did not answer in time".to_owned())),
        }
    }
}

/// Servers quote the recipient in their answers, and what is said here goes into the log.
fn nameless(error: MailError, to: &str) -> MailError {
    let clean = |text: String| text.replace(to, "(the recipient)");
    match error {
        MailError::Temporary(text) => MailError::Temporary(clean(text)),
        MailError::Unknown(text) => MailError::Unknown(clean(text)),
        MailError::Setup(text) => MailError::Setup(clean(text)),
        MailError::Permanent(text) => MailError::Permanent(clean(text)),
    }
}

#[cfg(test)]
pub(super) mod fixtures {
    //! What the tests of both mailers need.

    use crate::domain::{EmailAddress, Timestamp};
    use crate::ports::{Chance, Clock, Mail};
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::time::Duration;

    /// Stands at the first moment of 22 November 2026.
    pub struct Frozen;

    impl Clock for Frozen {
        fn now(&self) -> Timestamp {
            Timestamp::parse("2026-11-22T00:00:00Z").unwrap()
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    /// Bytes that fall, so that names by chance alone would sort the wrong way round.
    #[derive(Default)]
    pub struct Seeded(AtomicU8);

    impl Chance for Seeded {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(200 - self.0.fetch_add(1, Ordering::Relaxed));
        }
    }

    /// A mail with a link in it that is as long as real ones.
    pub fn mail(subject: &str) -> Mail {
        Mail {
            to: EmailAddress::parse("ada@example.com").unwrap(),
            subject: subject.to_owned(),
            text: "Follow this link:\n\nhttp://127.0.0.1:8080/verify-email?token=\
                   0123456789012345678901234567890123456789012\n\n.\nIt lives for a day.\n"
                .to_owned(),
            html: "<p>Follow <a href=\"http://127.0.0.1:8080/verify-email?token=0123\">this link</a>.</p>\n"
                .to_owned(),
        }
    }
}
