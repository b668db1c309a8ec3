//! Mail by SMTP, to a real server.

use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::smtp::SmtpServer;
use crate::support::tenant::{PASSWORD, answer, with_json};
use grantkeep::adapters::system::SystemClock;
use grantkeep::ports::Clock;
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

async fn sign_up(app: &App, email: &str) {
    let body = json!({ "email": email, "password": PASSWORD, "product": "Äcme" });
    answer(with_json(http().post(format!("{}/signup", app.url)), &body)).await.expect(202);
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
    let mut browser = Browser::new();
    let page = browser.get(link.as_str()).await;
    assert_eq!(browser.send(&page, &page.form()).await.status, 200);
    let made = with_json(http().post(format!("{}/v1/api-keys", app.url)), &json!({ "name": "tests" }));
    answer(made.basic_auth("ada@customer.example", Some(PASSWORD))).await.expect(201);
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn a_mail_waits_for_its_server() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a port").port();
    let url = format!("smtp://127.0.0.1:{port}");
    let app = App::spawn(Stores::Embedded, &[("mail.url", &url), FROM]);
    let clock = SystemClock::new();
    let asked = clock.monotonic();
    sign_up(&app, "ada@customer.example").await;
    assert!(clock.monotonic() < asked + Duration::from_secs(3), "nobody waits for the mail server");
    while !app.log().contains("a mail will be tried again") {
        assert!(clock.monotonic() < asked + Duration::from_secs(10), "{}", app.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let server = SmtpServer::start_on(port).expect("the port is free");
    let mail = server.mail_to("ada@customer.example").await;
    assert!(mail.link().as_str().starts_with(&app.url));
    assert!(!app.log().contains("a mail did not go out"), "{}", app.log());
}
