//! Mail by SMTP, to a real server.

mod queue;
mod tls;

use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::smtp::SmtpServer;
use crate::support::tenant::{PASSWORD, answer, with_json};
use serde_json::json;

async fn sign_up(app: &App, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD, "product": "Äcme" });
    answer(with_json(http().post(format!("{}/signup", app.url)), &body)).await.expect(202);
}

/// Follows a link as a person does, and presses its button.
async fn follow(link: &str) -> u16 {
    let mut browser = Browser::new();
    let page = browser.get(link).await;
    browser.send(&page, &page.form()).await.status.as_u16()
}

/// Waits for something that comes about by itself.
async fn until(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    for _ in 0..2000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("this did not happen: {what}")
}

/// What a metric says now, as it stands there; `0` where it does not.
async fn said(app: &App, name: &str) -> String {
    let text = app.metrics().await;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.unwrap_or_else(|| "0".to_owned())
}

/// A metric that counts.
async fn metric(app: &App, name: &str) -> u64 {
    said(app, name).await.parse().expect("a whole number")
}

const FROM: (&str, &str) = ("mail.from", "Grantkeep <no-reply@grantkeep.example>");

#[tokio::test]
async fn the_link_comes_by_mail() {
    let server = SmtpServer::start();
    let app = App::start_with(Stores::Embedded, &[("mail.url", &server.url()), FROM]).await;
    sign_up(&app, "ada@customer.example").await;
    let mail = server.mail_to("ada@customer.example").await;
    assert_eq!(mail.from, "no-reply@grantkeep.example");
    assert!(mail.subject.contains("confirm your address"), "{mail:?}");
    assert!(mail.text.contains("for the product \"Äcme\""), "{mail:?}");
    let link = mail.link();
    assert!(link.as_str().starts_with(&format!("{}/verify-email?token=", app.url)), "{link}");
    assert_eq!(follow(link.as_str()).await, 200);
    let made = with_json(http().post(format!("{}/v1/api-keys", app.url)), &json!({ "name": "tests" }));
    answer(made.basic_auth("ada@customer.example", Some(PASSWORD))).await.expect(201);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_mail_is_read_as_text_or_html_and_answered_by_no_machine() {
    let server = SmtpServer::start();
    let app = App::start_with(Stores::Embedded, &[("mail.url", &server.url()), FROM]).await;
    sign_up(&app, "ada@customer.example").await;
    let mail = server.mail_to("ada@customer.example").await;
    assert!(mail.head.contains("multipart/alternative"), "{}", mail.head);
    let link = mail.link();
    assert!(mail.html.contains(&format!("<a class=\"button\" href=\"{link}\">")), "{}", mail.html);
    assert_eq!(mail.html.matches(link.as_str()).count(), 2, "{}", mail.html);
    assert!(mail.html.contains("the product <strong>Äcme</strong>"), "{}", mail.html);
    let names: Vec<&str> = mail
        .head
        .lines()
        .filter(|line| !line.starts_with([' ', '\t']))
        .filter_map(|line| line.split(':').next())
        .collect();
    for name in
        ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Auto-Submitted"]
    {
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}: {names:?}");
    }
    for name in ["Reply-To", "Sender", "Return-Path", "Disposition-Notification-To"] {
        assert!(!names.contains(&name), "{names:?}");
    }
    assert!(mail.head.contains("Auto-Submitted: auto-generated"), "{}", mail.head);
}

#[tokio::test]
async fn the_host_of_a_link_comes_from_the_configuration_alone() {
    let server = SmtpServer::start();
    let settings =
        [("mail.url", server.url()), ("server.public_url", "https://vault.example.com".to_owned())];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let app = App::start_with(Stores::Embedded, &[&settings[..], &[FROM]].concat()).await;
    let body = json!({ "email": "ada@customer.example", "password": PASSWORD });
    let request = with_json(http().post(format!("{}/signup", app.direct)), &body);
    let request = request.header("host", "evil.example").header("x-forwarded-host", "evil.example");
    answer(request.header("forwarded", "host=evil.example")).await.expect(202);
    let mail = server.mail_to("ada@customer.example").await;
    assert!(mail.link().as_str().starts_with("https://vault.example.com/verify-email?token="), "{mail:?}");
    assert!(!format!("{mail:?}").contains("evil"), "{mail:?}");
}
