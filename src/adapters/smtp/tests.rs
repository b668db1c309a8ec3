//! What is said to a server, and what its answers mean.

use super::fixtures::{Frozen, Seeded, mail};
use super::*;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

fn mailer(url: &str) -> Result<SmtpMailer, BadMailSetup> {
    let from = "Acme <no-reply@acme.example>";
    let timeout = Duration::from_secs(5);
    SmtpMailer::new(&Secret::new(url), from, timeout, Arc::new(Frozen), Arc::new(Seeded::default()))
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

/// Which of the errors it is.
fn kind(error: &MailError) -> &'static str {
    match error {
        MailError::Temporary(_) => "temporary",
        MailError::Unknown(_) => "unknown",
        MailError::Setup(_) => "setup",
        MailError::Permanent(_) => "permanent",
    }
}

#[tokio::test]
async fn what_the_server_says_and_when_decides_what_becomes_of_a_mail() {
    for (at, fault, expected) in [
        ("greeting", "421 too busy", "temporary"),
        ("greeting", "554 not for you", "setup"),
        ("AUTH", "535 5.7.8 bad credentials", "setup"),
        ("AUTH", "454 4.7.0 ask again", "temporary"),
        ("MAIL", "530 5.7.0 authentication required", "setup"),
        ("MAIL", "550 not your address", "setup"),
        ("MAIL", "451 later", "temporary"),
        ("RCPT", "450 mailbox busy", "temporary"),
        ("RCPT", "550 no such mailbox: <ada@example.com>", "permanent"),
        ("RCPT", "530 5.7.0 authentication required", "setup"),
        ("DATA", "552 too much", "permanent"),
        (".", "452 disk full", "temporary"),
        (".", "554 looks like spam", "permanent"),
        (".", "nonsense", "unknown"),
        ("RCPT", "nonsense", "temporary"),
    ] {
        let (address, heard) = server(at, fault).await;
        let mailer = mailer(&format!("smtp://ada:hunter2@{address}")).unwrap();
        let error = mailer.send(&mail("Welcome")).await.unwrap_err();
        assert_eq!(kind(&error), expected, "{at} {fault}: {error}");
        let text = format!("{error} {error:?}");
        for secret in ["hunter2", "token=", "ada@example.com"] {
            assert!(!text.contains(secret), "{text}");
        }
        drop(mailer);
        heard.await.unwrap();
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_said_but_good_bye() {
    let (address, heard) = server("no such command", "").await;
    let outcome = mailer(&format!("smtp://ada:hunter2@{address}?tls=required")).unwrap();
    let error = outcome.send(&mail("Welcome")).await.unwrap_err();
    assert!(matches!(&error, MailError::Setup(text) if text.contains("does not offer STARTTLS")), "{error}");
    let heard = heard.await.unwrap();
    let said: Vec<&str> = heard.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(said, ["EHLO", "QUIT"], "{heard}");
}

#[tokio::test]
async fn what_is_put_behind_the_answer_to_starttls_is_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        stream.write_all(b"250-mail.example\r\n250 STARTTLS\r\n").await.unwrap();
        stream.read_line(&mut line).await.unwrap();
        // Somebody on the way would have this taken for the answer to the next EHLO.
        stream.write_all(b"220 go on\r\n250-mail.example\r\n250 AUTH PLAIN\r\n").await.unwrap();
        // The beginning of TLS, and the end.
        assert_eq!(stream.fill_buf().await.unwrap()[0], 22);
        stream
    });
    let mailer = mailer(&format!("smtp://ada:hunter2@{address}?tls=required")).unwrap();
    let error = mailer.send(&mail("Welcome")).await.unwrap_err();
    // TLS met bytes that are none: it did not have to wait for the server to say so.
    assert!(matches!(&error, MailError::Setup(text) if text.contains("TLS fails")), "{error}");
    drop(heard.await.unwrap());
}

#[tokio::test]
async fn no_server_may_pass_and_no_tls_is_to_be_mended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let outcome = mailer(&format!("smtp://{address}")).unwrap().send(&mail("Welcome")).await;
    assert!(matches!(outcome, Err(MailError::Temporary(_))), "{outcome:?}");

    // A server that does not speak TLS there.
    let (address, heard) = server("no such command", "").await;
    let outcome = mailer(&format!("smtps://{address}")).unwrap().send(&mail("Welcome")).await;
    assert!(matches!(&outcome, Err(MailError::Setup(text)) if text.contains("TLS")), "{outcome:?}");
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
        assert_eq!(Security::of(scheme, host, false), security, "{scheme} {host}");
    }
    assert_eq!(Security::of("smtp", "localhost", true), Some(Security::StartTls));
    assert!(mailer("smtp://mail.example").unwrap().tls.is_some());
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
        Duration::from_secs(5),
        Arc::new(Frozen),
        Arc::new(Seeded::default()),
    );
    assert!(matches!(bad.err(), Some(BadMailSetup::Sender(_))));
}
