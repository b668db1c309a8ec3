//! TLS and login at the mail server: what is not as it must be is told by `grantkeep check`, and nothing is sent.

use super::{FROM, follow, metric, said, sign_up, until};
use crate::support::app::{App, Stores};
use crate::support::smtp::{SmtpServer, file};
use grantkeep::app::new_master_key;
use serde_json::json;
use std::process::Command;

/// What `grantkeep check` says of a mail server, and the code it ends with.
fn check(url: &str, roots: &str) -> (i32, String) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_grantkeep"));
    command.arg("check").current_dir(folder.path()).env_clear().env("SSL_CERT_FILE", roots);
    for (key, value) in [
        ("GRANTKEEP_VAULT__MASTER_KEYS", new_master_key(None).as_str()),
        ("GRANTKEEP_MAIL__URL", url),
        ("GRANTKEEP_MAIL__FROM", FROM.1),
        ("GRANTKEEP_MAIL__TIMEOUT", "3s"),
    ] {
        command.env(key, value);
    }
    let output = command.output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().expect("it ended by itself"), String::from_utf8_lossy(&said).into_owned())
}

fn roots() -> String {
    file("tls/ca.pem")
}

#[test]
fn what_a_mail_server_takes_is_checked_without_a_mail() {
    for tls in ["plain", "starttls", "tls"] {
        let server = SmtpServer::start_with(&json!({ "tls": tls, "login": ["ada@x.example", "p w"] }));
        let query = if tls == "starttls" { "?tls=required" } else { "" };
        let url = format!("{}{query}", server.url_for("ada%40x.example:p%20w@"));
        let (code, said) = check(&url, &roots());
        assert_eq!(code, 0, "{tls}: {said}");
        assert!(said.contains("mail would be taken"), "{said}");
        assert!(server.log().contains("login good"), "{tls}: {}", server.log());
        assert!(server.mails().is_empty() && !server.log().contains("rcpt"), "{}", server.log());
    }
}

#[test]
fn what_is_wrong_with_a_mail_server_is_told() {
    let plain = SmtpServer::start();
    let starttls = SmtpServer::start_with(&json!({ "tls": "starttls", "login": ["ada", "secret"] }));
    let tls = SmtpServer::start_with(&json!({ "tls": "tls" }));
    let other = SmtpServer::start_with(&json!({ "tls": "starttls", "cert": "other" }));
    let required = |server: &SmtpServer, login: &str| format!("{}?tls=required", server.url_for(login));
    let none = file("tls/other.pem");
    for (url, roots, words) in [
        (required(&plain, ""), roots(), "does not offer STARTTLS"),
        (required(&starttls, "ada:hunter2@"), roots(), "the login is refused"),
        (starttls.url_for("ada:secret@"), roots(), "the login is refused"),
        (required(&other, ""), roots(), "TLS fails"),
        (required(&starttls, "ada:secret@"), none.clone(), "TLS fails"),
        (tls.url(), none, "TLS fails"),
        (format!("smtps://localhost:{}", plain.port()), roots(), "TLS fails"),
        ("smtp://localhost:1".to_owned(), roots(), "does not take mail at the moment"),
    ] {
        let (code, said) = check(&url, &roots);
        assert_eq!(code, 1, "{url}: {said}");
        assert!(said.contains("mail.url") && said.contains(words), "{url}: {said}");
        assert!(!said.contains("hunter2") && !said.contains("secret"), "{said}");
    }
    for server in [plain, starttls, tls, other] {
        assert!(server.mails().is_empty());
        assert!(!server.log().contains("login good"), "no password went where TLS was not as it must be");
    }
}

#[tokio::test]
async fn a_mail_goes_over_tls_of_both_kinds_with_a_login() {
    for tls in ["starttls", "tls"] {
        let server = SmtpServer::start_with(&json!({ "tls": tls, "login": ["ada", "secret"] }));
        let query = if tls == "starttls" { "?tls=required" } else { "" };
        let url = format!("{}{query}", server.url_for("ada:secret@"));
        let app = App::spawn(Stores::Embedded, &[("mail.url", &url), FROM, ("SSL_CERT_FILE", &roots())]);
        sign_up(&app, "ada@customer.example").await;
        let link = server.mail_to("ada@customer.example").await.link();
        assert!(server.log().contains("mail tls True"), "{}", server.log());
        assert_eq!(follow(link.as_str()).await, 200);
    }
}

#[tokio::test]
async fn a_wrong_login_is_loud_and_loses_no_mail() {
    let server = SmtpServer::start_with(&json!({ "login": ["ada", "secret"] }));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = || Stores::At(format!("embedded:{}", folder.path().display()));
    let key = new_master_key(Some("test"));
    let settings = |login: &str| {
        let url = server.url_for(login);
        vec![
            ("mail.url", url),
            ("mail.from", FROM.1.to_owned()),
            ("mail.backoff_min", "200ms".to_owned()),
            ("mail.backoff_max", "1s".to_owned()),
            ("vault.master_keys", key.clone()),
        ]
    };
    let start = |settings: &[(&str, String)]| {
        let borrowed: Vec<(&str, &str)> =
            settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        App::spawn(store(), &borrowed)
    };
    let mut app = start(&settings("ada:hunter2@"));
    sign_up(&app, "ada@customer.example").await;
    until("the login is refused twice", async || {
        metric(&app, r#"grantkeep_mails_total{outcome="setup"}"#).await >= 2
    })
    .await;
    assert!(app.log().contains("no mail goes out until this is mended"), "{}", app.log());
    assert!(!app.log().contains("hunter2") && !app.log().contains("ada@customer"), "{}", app.log());
    assert!(metric(&app, "grantkeep_mails_waiting").await >= 1);
    assert_ne!(said(&app, "grantkeep_mails_oldest_age_seconds").await, "0");
    assert!(server.mails().is_empty());
    app.process().signal("TERM");
    assert_eq!(app.ended().await, 0);
    let app = start(&settings("ada:secret@"));
    server.mail_to("ada@customer.example").await;
    until("the queue is empty", async || {
        metric(&app, r#"grantkeep_mails_total{outcome="sent"}"#).await >= 1
            && metric(&app, "grantkeep_mails_waiting").await == 0
    })
    .await;
    assert_eq!(server.mails().len(), 1);
}
