//! Mails by SMTP (RFC 5321), handed to a submission server (RFC 6409).
//!
//! `smtps://` is TLS from the first byte (RFC 8314 section 3.3). `smtp://` insists on STARTTLS (RFC 3207), since links in
//! mails are as good as passwords; on loopback it is plain, where nobody listens in and servers for development have no
//! certificate. Certificates are checked against the system's roots.

use super::message::{self, BadSender};
use crate::domain::Secret;
use crate::ports::{Chance, Clock, Mail, MailError, Mailer};
use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// For making a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// For one mail, from the look-up to the server's last word.
const WHOLE: Duration = Duration::from_secs(30);

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
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
}

impl SmtpMailer {
    /// Mails go to the server of `url`; `from` is an address, or `Name <address>`.
    pub fn new(
        url: &Secret,
        from: &str,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
    ) -> Result<Self, BadMailSetup> {
        let url = Url::parse(url.expose()).map_err(|_| BadMailSetup::Url)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(BadMailSetup::Url)?;
        // Brackets belong to the URL, not to the address.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let security = Security::of(url.scheme(), host).ok_or(BadMailSetup::Url)?;
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(security.port()))
            .timeout(Some(CONNECT))
            .tls(security.tls(host)?);
        if let Some(password) = url.password() {
            let plain = |text| percent_decode_str(text).decode_utf8().map_err(|_| BadMailSetup::Url);
            let credentials =
                Credentials::new(plain(url.username())?.into_owned(), plain(password)?.into_owned());
            builder = builder.credentials(credentials);
        }
        Ok(Self { transport: builder.build(), from: message::sender(from)?, clock, chance })
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
    fn of(scheme: &str, host: &str) -> Option<Self> {
        let loopback = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        match scheme {
            "smtps" => Some(Self::Tls),
            "smtp" if loopback => Some(Self::Plain),
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

    fn tls(self, host: &str) -> Result<Tls, BadMailSetup> {
        let parameters =
            || TlsParameters::new(host.to_owned()).map_err(|error| BadMailSetup::Tls(error.to_string()));
        match self {
            Self::Plain => Ok(Tls::None),
            Self::StartTls => parameters().map(Tls::Required),
            Self::Tls => parameters().map(Tls::Wrapper),
        }
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message::message(mail, &self.from, &*self.clock, &*self.chance)?;
        match tokio::time::timeout(WHOLE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(classify(&error)),
            Err(_) => Err(MailError::Temporary("the mail server did not answer in time".to_owned())),
        }
    }
}

/// Permanent is what the server says of this mail for good: 5xx (RFC 5321 section 4.2.1), except where it speaks of our
/// credentials (RFC 4954 section 6) or wants TLS (RFC 3207 section 4): an operator can mend that, and then the mail goes.
/// All else may pass: 4xx, a broken connection, TLS.
fn classify(error: &SmtpError) -> MailError {
    const OURS: [u16; 4] = [530, 534, 535, 538];
    let text: String = error.to_string().chars().take(300).collect();
    let code = error.status().map(u16::from);
    if error.is_permanent() && !code.is_some_and(|code| OURS.contains(&code)) {
        MailError::Permanent(text)
    } else {
        MailError::Temporary(text)
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::{Frozen, Seeded, mail};
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use std::net::SocketAddr;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    fn mailer(url: &str) -> Result<SmtpMailer, BadMailSetup> {
        let from = "Acme <no-reply@acme.example>";
        SmtpMailer::new(&Secret::new(url), from, Arc::new(Frozen), Arc::new(Seeded::default()))
    }

    /// A server that says `fault` to the first command beginning with `at` (or as its greeting) and yes to the rest.
    /// Returns what it heard.
    async fn server(at: &'static str, fault: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut heard = String::new();
            let mut in_data = false;
            let mut reply = if at == "greeting" { fault } else { "220 mail.example ESMTP" };
            loop {
                if !reply.is_empty() {
                    stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
                }
                let mut line = String::new();
                // A client that has had enough may reset.
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return heard;
                }
                heard.push_str(&line);
                let command = line.trim_end();
                reply = match command {
                    "." if in_data => {
                        in_data = false;
                        if at == "." { fault } else { "250 queued" }
                    }
                    _ if in_data => "",
                    _ if command.starts_with(at) => fault,
                    "DATA" => {
                        in_data = true;
                        "354 go on"
                    }
                    _ if command.starts_with("EHLO") => "250-mail.example\r\n250 AUTH PLAIN",
                    _ if command.starts_with("AUTH") => "235 welcome",
                    _ => "250 fine",
                };
            }
        });
        (address, heard)
    }

    #[tokio::test]
    async fn a_mail_is_handed_over_whole_and_with_credentials() {
        let (address, heard) = server("no such command", "").await;
        let mailer = mailer(&format!("smtp://ada%40example.com:p%3Aw%20d@{address}")).unwrap();
        mailer.send(&mail("Welcome")).await.unwrap();
        let heard = heard.await.unwrap();
        let plain = STANDARD.encode("\0ada@example.com\0p:w d");
        for line in [
            &format!("AUTH PLAIN {plain}"),
            "MAIL FROM:<no-reply@acme.example>",
            "RCPT TO:<ada@example.com>",
            "Subject: Welcome",
            "To: ada@example.com",
            "http://127.0.0.1:8080/verify-email?token=0123456789012345678901234567890123456789012",
            // A line with a single dot would end the mail (RFC 5321 section 4.5.2).
            "..",
            "It lives for a day.",
            "QUIT",
        ] {
            assert!(heard.lines().any(|l| l == line), "{line}\n{heard}");
        }
    }

    #[tokio::test]
    async fn what_the_server_says_decides_whether_to_try_again() {
        for (at, fault, permanent) in [
            ("greeting", "421 too busy", false),
            ("greeting", "554 not for you", true),
            ("AUTH", "535 5.7.8 bad credentials", false),
            ("MAIL", "530 5.7.0 authentication required", false),
            ("MAIL", "451 later", false),
            ("RCPT", "450 mailbox busy", false),
            ("RCPT", "550 no such mailbox", true),
            ("DATA", "552 too much", true),
            (".", "452 disk full", false),
            (".", "554 looks like spam", true),
            ("RCPT", "nonsense", false),
        ] {
            let (address, heard) = server(at, fault).await;
            let mailer = mailer(&format!("smtp://ada:hunter2@{address}")).unwrap();
            let error = mailer.send(&mail("Welcome")).await.unwrap_err();
            assert_eq!(matches!(error, MailError::Permanent(_)), permanent, "{at} {fault}: {error}");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2") && !text.contains("token="), "{text}");
            drop(mailer);
            heard.await.unwrap();
        }
    }

    #[tokio::test]
    async fn no_server_and_no_tls_may_pass() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let outcome = mailer(&format!("smtp://{address}")).unwrap().send(&mail("Welcome")).await;
        assert!(matches!(outcome, Err(MailError::Temporary(_))), "{outcome:?}");

        let (address, heard) = server("no such command", "").await;
        let outcome = mailer(&format!("smtps://{address}")).unwrap().send(&mail("Welcome")).await;
        assert!(matches!(outcome, Err(MailError::Temporary(_))), "{outcome:?}");
        heard.abort();
    }

    #[test]
    fn only_loopback_is_plain() {
        for (scheme, host, security) in [
            ("smtp", "localhost", Some(Security::Plain)),
            ("smtp", "127.0.0.1", Some(Security::Plain)),
            ("smtp", "::1", Some(Security::Plain)),
            ("smtp", "10.0.0.1", Some(Security::StartTls)),
            ("smtp", "localhost.example", Some(Security::StartTls)),
            ("smtps", "localhost", Some(Security::Tls)),
            ("http", "localhost", None),
        ] {
            assert_eq!(Security::of(scheme, host), security, "{scheme} {host}");
        }
        assert!(matches!(Security::StartTls.tls("mail.example"), Ok(Tls::Required(_))));
        assert_eq!((Security::StartTls.port(), Security::Tls.port()), (587, 465));
    }

    #[test]
    fn what_is_no_setup_is_said_without_its_password() {
        for url in ["smtp:", "http://a:hunter2@b", "smtps://", "smtp://a:%ff@hunter2.example", "hunter2"] {
            let error = mailer(url).err().expect(url);
            assert!(matches!(error, BadMailSetup::Url), "{url} {error}");
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
        let bad = SmtpMailer::new(
            &Secret::new("smtp://[::1]:25"),
            "nobody",
            Arc::new(Frozen),
            Arc::new(Seeded::default()),
        );
        assert!(matches!(bad.err(), Some(BadMailSetup::Sender(_))));
    }
}
