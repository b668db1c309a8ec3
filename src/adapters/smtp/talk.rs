//! One conversation with a submission server, stage by stage, and what a fault of each stage means.

use super::SmtpMailer;
use super::bytewise::Bytewise;
use crate::ports::MailError;
use lettre::address::{Address, Envelope};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

/// For the server's answer to our good-bye, which nobody needs.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where a conversation had come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greeting,
    Tls,
    Login,
    Sender,
    Recipient,
    Content,
}

/// A connection that is greeted, protected and logged in as the settings say.
pub(super) async fn open(mailer: &SmtpMailer) -> Result<AsyncSmtpConnection, MailError> {
    let (name, server) = (ClientId::default(), (mailer.host.as_str(), mailer.port));
    let connected = if let Some(tls) = mailer.tls.clone().filter(|_| !mailer.starttls) {
        AsyncSmtpConnection::connect_tokio1(server, Some(mailer.timeout), &name, Some(tls), None).await
    } else {
        let stream = TcpStream::connect(server).await;
        let stream = stream.map_err(|error| MailError::Temporary(format!("no connection: {error}")))?;
        AsyncSmtpConnection::connect_with_transport(Box::new(Bytewise::new(stream)), &name).await
    };
    let mut connection = connected.map_err(|error| fault(Stage::Greeting, &error))?;
    if let Some(tls) = mailer.tls.clone().filter(|_| mailer.starttls) {
        if !connection.can_starttls() {
            farewell(connection).await;
            // RFC 3207 section 4.1: whoever cuts STARTTLS out of the greeting would read the mail.
            return Err(MailError::Setup(
                "it does not offer STARTTLS, and without TLS nothing is sent; is it the right port? (smtps:// is TLS \
                 from the first byte)"
                    .to_owned(),
            ));
        }
        if let Err(error) = connection.starttls(tls, &name).await {
            return Err(fault(Stage::Tls, &error));
        }
    }
    if let Some(credentials) = &mailer.credentials
        && let Err(error) = connection.auth(DEFAULT_MECHANISMS, credentials).await
    {
        farewell(connection).await;
        return Err(fault(Stage::Login, &error));
    }
    Ok(connection)
}

/// Hands a message over. `handed` becomes true before the server has all it needs to accept it.
pub(super) async fn hand_over(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
    handed: &AtomicBool,
) -> Result<(), MailError> {
    let mut options = Vec::new();
    let ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if !envelope.to().iter().chain(envelope.from()).all(ascii) {
        // RFC 6531 section 3.1: to a server that does not know it, such an address cannot even be named.
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let text = "the address has letters that the mail server cannot carry (no SMTPUTF8)";
            return Err(MailError::Permanent(text.to_owned()));
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    let sender = connection.command(Mail::new(envelope.from().cloned(), options)).await;
    sender.map_err(|error| fault(Stage::Sender, &error))?;
    for to in envelope.to() {
        let recipient = connection.command(Rcpt::new(to.clone(), vec![])).await;
        recipient.map_err(|error| fault(Stage::Recipient, &error))?;
    }
    connection.command(Data).await.map_err(|error| fault(Stage::Recipient, &error))?;
    handed.store(true, Ordering::Relaxed);
    connection.message(message).await.map(drop).map_err(|error| fault(Stage::Content, &error))
}

/// QUIT, and not for ever.
pub(super) async fn farewell(mut connection: AsyncSmtpConnection) {
    // Whatever was to be said has been said.
    let _ = tokio::time::timeout(FAREWELL, connection.abort()).await;
}

/// What a fault means. Permanent is what the server says for good of this recipient or this mail (5xx, RFC 5321 section
/// 4.2.1). What it says for good before there is one, or of our credentials (RFC 4954 section 6) and TLS (RFC 3207 section
/// 4), an operator can mend, and then the mail goes. All else may pass: 4xx, a broken connection.
fn fault(stage: Stage, error: &SmtpError) -> MailError {
    const OURS: [u16; 4] = [530, 534, 535, 538];
    let text: String = error.to_string().chars().take(300).collect();
    let code = error.status().map(u16::from);
    let ours = code.is_some_and(|code| OURS.contains(&code));
    if is_tls(error) {
        return MailError::Setup(format!("TLS fails: {text}"));
    }
    match (stage, error.is_permanent()) {
        (Stage::Recipient | Stage::Content, true) if !ours => MailError::Permanent(text),
        (Stage::Login, _) if error.is_permanent() || error.is_client() => MailError::Setup(format!(
            "the login is refused: {text}; are user and password in mail.url right?"
        )),
        (Stage::Sender, true) if !ours => {
            MailError::Setup(format!("the sender is refused: {text}; is mail.from one that it sends for?"))
        }
        (_, true) => MailError::Setup(text),
        (Stage::Content, false) if code.is_none() => MailError::Unknown(text),
        (_, false) => MailError::Temporary(text),
    }
}

/// True where TLS itself said no: a certificate, a protocol. A connection that broke meanwhile is none of it.
fn is_tls(error: &SmtpError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause {
        // An I/O error that carries another one does not name it as its source, but that one's.
        let carried = inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let carried = carried.and_then(|error| error.downcast_ref::<rustls::Error>());
        if carried.is_some() || inner.is::<rustls::Error>() {
            return true;
        }
        cause = inner.source();
    }
    error.is_tls()
}
