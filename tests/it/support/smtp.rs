//! A real SMTP server, aiosmtpd, which puts what it is given into a Maildir.

use super::process::Leashed;
use super::tool;
use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

pub struct SmtpServer {
    server: Leashed,
    port: u16,
}

impl SmtpServer {
    pub fn start() -> Self {
        Leashed::on_a_free_port(Self::start_on)
    }

    /// The same on a port of the case's choosing. When it ended before it was ready: what it said.
    pub fn start_on(port: u16) -> Result<Self, String> {
        let program = tool("GRANTKEEP_TEST_PYTHON", "bin/python3");
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["-m", "aiosmtpd", "-n", "-l", &listen, "-c", "aiosmtpd.handlers.Mailbox", "mails"];
        let (server, ()) = Leashed::start(&program, arguments, |_| greets(&listen))?;
        Ok(Self { server, port })
    }

    /// For `mail.url`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Everything it was given so far, as it came.
    pub fn mails(&self) -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(self.server.home().join("mails/new"));
        entries.into_iter().flatten().filter_map(|entry| std::fs::read(entry.ok()?.path()).ok()).collect()
    }

    /// Waits for the mail to one address, and takes it apart.
    pub async fn mail_to(&self, address: &str) -> Mail {
        for _ in 0..1000 {
            if let Some(mail) = self.mails().iter().map(|raw| Mail::read(raw)).find(|mail| mail.to == address)
            {
                return mail;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no mail to {address} came")
    }
}

/// A mail as its reader sees it: encodings undone.
#[derive(Debug)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub subject: String,
    pub text: String,
}

impl Mail {
    /// Reads what an SMTP server was given, or an `.eml` file.
    pub fn read(raw: &[u8]) -> Self {
        let mail = mail_parser::MessageParser::default().parse(raw).expect("it is a mail");
        let address = |field: Option<&mail_parser::Address<'_>>| {
            field.and_then(|all| all.first()?.address().map(str::to_owned)).unwrap_or_default()
        };
        Self {
            from: address(mail.from()),
            to: address(mail.to()),
            subject: mail.subject().unwrap_or_default().to_owned(),
            text: mail.body_text(0).unwrap_or_default().into_owned(),
        }
    }

    /// The first link in it.
    pub fn link(&self) -> url::Url {
        let mut words = self.text.split_whitespace();
        words.find_map(|word| url::Url::parse(word).ok().filter(url::Url::has_host)).expect("it has a link")
    }
}

/// `220 …` (RFC 5321 section 3.1).
fn greets(address: &str) -> Option<()> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut code = [0; 3];
    stream.read_exact(&mut code).ok()?;
    (&code == b"220").then_some(())
}
