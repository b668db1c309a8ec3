//! A real SMTP server, aiosmtpd, which puts what it is given into a Maildir.

use super::process::Leashed;
use super::tool;
use serde_json::{Value, json};
use std::time::Duration;

pub struct SmtpServer {
    server: Leashed,
    port: u16,
    scheme: &'static str,
}

/// A file beside this one.
pub fn file(name: &str) -> String {
    format!("{}/tests/it/support/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl SmtpServer {
    pub fn start() -> Self {
        Self::start_with(&json!({}))
    }

    /// The same with wishes; what they are stands in `smtp_server.py`.
    pub fn start_with(wishes: &Value) -> Self {
        Leashed::on_a_free_port(|port| Self::start_on(port, wishes))
    }

    /// The same on a port of the case's choosing. When it ended before it was ready: what it said.
    pub fn start_on(port: u16, wishes: &Value) -> Result<Self, String> {
        let program = tool("GRANTKEEP_TEST_PYTHON", "bin/python3");
        let mut wishes = wishes.clone();
        wishes["port"] = port.into();
        let name = wishes["cert"].as_str().unwrap_or("server").to_owned();
        wishes["cert"] = file(&format!("tls/{name}.pem")).into();
        wishes["key"] = file("tls/server.key").into();
        let scheme = if wishes["tls"] == "tls" { "smtps" } else { "smtp" };
        let arguments = [file("smtp_server.py"), wishes.to_string()];
        let ready = |server: &Leashed| server.log().contains("ready").then_some(());
        let (server, ()) = Leashed::start(&program, arguments, ready)?;
        Ok(Self { server, port, scheme })
    }

    /// For `mail.url`.
    pub fn url(&self) -> String {
        self.url_for("")
    }

    /// The same with a login, such as `ada:secret@`, by the name that its certificate has.
    pub fn url_for(&self, login: &str) -> String {
        format!("{}://{login}localhost:{}", self.scheme, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What happened, a line each.
    pub fn log(&self) -> String {
        self.server.log()
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
    pub html: String,
    /// Its headers, as they are.
    pub head: String,
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
            html: mail.body_html(0).unwrap_or_default().into_owned(),
            head: head(raw),
        }
    }

    /// The first link in it.
    pub fn link(&self) -> url::Url {
        let mut words = self.text.split_whitespace();
        words.find_map(|word| url::Url::parse(word).ok().filter(url::Url::has_host)).expect("it has a link")
    }
}

fn head(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
    text.split("\n\n").next().unwrap_or_default().to_owned()
}
