//! A mail that was asked for arrives: after the mail server was dead, hung or busy, and after this server was killed.

use super::{FROM, follow, metric, sign_up, until};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::redis::RedisServer;
use crate::support::smtp::{Mail, SmtpServer};
use grantkeep::adapters::system::SystemClock;
use grantkeep::app::new_master_key;
use grantkeep::ports::Clock;
use serde_json::json;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// Impatient: a try of a second, pauses from 200 ms.
const QUICK: [(&str, &str); 4] =
    [FROM, ("mail.timeout", "1s"), ("mail.backoff_min", "200ms"), ("mail.backoff_max", "1s")];

fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a port").port()
}

fn with<'a>(url: &'a str, further: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&QUICK[..], &[("mail.url", url)], further].concat()
}

/// How many keys of the queue a Redis holds.
fn queued(redis: &RedisServer) -> usize {
    redis.say::<Vec<String>>(&["KEYS", "gk:{mail-*"]).len()
}

#[tokio::test]
async fn a_mail_waits_for_its_server() {
    let port = port();
    let url = format!("smtp://127.0.0.1:{port}");
    let app = App::spawn(Stores::Embedded, &with(&url, &[]));
    let clock = SystemClock::new();
    let asked = clock.monotonic();
    sign_up(&app, "ada@customer.example").await;
    assert!(clock.monotonic() < asked + Duration::from_secs(3), "nobody waits for the mail server");
    until("two tries fail", async || app.log().matches("a mail will be tried again").count() >= 2).await;
    let server = SmtpServer::start_on(port, &json!({})).expect("the port is free");
    let mail = server.mail_to("ada@customer.example").await;
    assert!(mail.link().as_str().starts_with(&app.url));
    assert!(!app.log().contains("a mail did not go out"), "{}", app.log());
    until("the queue is empty", async || metric(&app, "grantkeep_mails_waiting").await == 0).await;
    assert_eq!(server.mails().len(), 1);
    assert_eq!(follow(mail.link().as_str()).await, 200);
}

on_both_stores!(what_waits_survives_a_kill, |stores: Stores| async move {
    let (port, key) = (port(), new_master_key(Some("test")));
    let url = format!("smtp://127.0.0.1:{port}");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    // Two lives of one server on one store; nobody else's mails are in it.
    let redis = matches!(stores, Stores::Redis(_)).then(|| Arc::new(RedisServer::start(&[])));
    let store = || match &redis {
        Some(redis) => Stores::Redis(Arc::clone(redis)),
        None => Stores::At(format!("embedded:{}", folder.path().display())),
    };
    let settings =
        with(&url, &[("vault.master_keys", &key), ("server.public_url", "https://vault.example.com")]);
    let mut first = App::spawn(store(), &settings);
    // One mail whose try has failed, and, at a server that hangs, some that are on their way when the end comes.
    let direct = said_listening(&first);
    sign_up_at(&direct, "ada@customer.example").await;
    until("a try fails", async || first.log().contains("a mail will be tried again")).await;
    let hanging =
        SmtpServer::start_on(port, &json!({ "rcpt": { "*": vec!["hang"; 50] } })).expect("the port is free");
    for n in 0..3 {
        sign_up_at(&direct, &format!("bob{n}@customer.example")).await;
    }
    until("some hang", async || hanging.log().matches("rcpt hang").count() >= 3).await;
    first.process().signal("KILL");
    assert_ne!(first.ended().await, 0);
    drop(hanging);
    let server = SmtpServer::start_on(port, &json!({})).expect("the port is free");
    let second = App::spawn(store(), &settings);
    for to in ["ada", "bob0", "bob1", "bob2"] {
        let mail = server.mail_to(&format!("{to}@customer.example")).await;
        let link = mail.link();
        let here = link.as_str().replace("https://vault.example.com", &said_listening(&second));
        let page = crate::support::browser::http().get(here).send().await.expect("it answers");
        assert_eq!(page.status(), 200, "the link of {to} is good");
    }
    until("the queue is empty", async || metric(&second, "grantkeep_mails_waiting").await == 0).await;
    assert_eq!(server.mails().len(), 4, "each once");
    if let Some(redis) = &redis {
        assert_eq!(queued(redis), 0);
    }
});

/// Where a server in a process of its own listens, whatever its public URL.
fn said_listening(app: &App) -> String {
    let log = app.log();
    let public = log.lines().find_map(|line| {
        let said: serde_json::Value = serde_json::from_str(line).ok()?;
        said["public"].as_str().map(str::to_owned)
    });
    format!("http://{}", public.expect("it says where it listens"))
}

async fn sign_up_at(url: &str, email: &str) {
    let body = json!({ "email": email, "password": crate::support::tenant::PASSWORD });
    let request = crate::support::browser::http().post(format!("{url}/signup"));
    let asked = crate::support::tenant::with_json(request, &body);
    crate::support::tenant::answer(asked).await.expect(202);
}

#[tokio::test]
async fn of_several_servers_one_sends_each_mail() {
    let (port, key) = (port(), new_master_key(Some("test")));
    let redis = Arc::new(RedisServer::start(&[]));
    let url = format!("smtp://127.0.0.1:{port}");
    let settings = with(&url, &[("vault.master_keys", &key)]);
    let mut apps = Vec::new();
    for _ in 0..3 {
        apps.push(App::start_with(Stores::Redis(Arc::clone(&redis)), &settings).await);
    }
    for n in 0..12 {
        sign_up(&apps[n % 3], &format!("ada{n}@customer.example")).await;
    }
    let server = SmtpServer::start_on(port, &json!({})).expect("the port is free");
    for n in 0..12 {
        server.mail_to(&format!("ada{n}@customer.example")).await;
    }
    until("the queue is empty", async || queued(&redis) == 0).await;
    assert_eq!(server.mails().len(), 12);
}

#[tokio::test]
async fn a_server_that_does_not_say_whether_it_keeps_a_mail_gets_it_again() {
    let server = SmtpServer::start_with(&json!({ "data": ["hang"] }));
    let app = App::spawn(Stores::Embedded, &with(&server.url(), &[]));
    sign_up(&app, "ada@customer.example").await;
    until("it came twice", async || server.mails().len() == 2).await;
    // Others do not wait for the one that hangs.
    until("the queue is empty", async || metric(&app, "grantkeep_mails_waiting").await == 0).await;
    assert_eq!(metric(&app, r#"grantkeep_mails_total{outcome="unknown"}"#).await, 1);
    let mails: Vec<Mail> = server.mails().iter().map(|raw| Mail::read(raw)).collect();
    let links: Vec<String> = mails.iter().map(|mail| mail.link().to_string()).collect();
    assert_ne!(links[0], links[1], "each mail has a link of its own");
    for link in &links {
        assert_eq!(follow(link).await, 200, "and both are good");
    }
}

#[tokio::test]
async fn busy_is_tried_again_and_no_is_the_end() {
    let answers = json!({ "rcpt": { "ada": ["451 4.3.2 later"], "bob": ["550 5.1.1 no such mailbox: bob@customer.example"] } });
    let server = SmtpServer::start_with(&answers);
    let app = App::spawn(Stores::Embedded, &with(&server.url(), &[("mail.backoff_min", "1s")]));
    let sent =
        async |outcome: &str| metric(&app, &format!("grantkeep_mails_total{{outcome=\"{outcome}\"}}")).await;
    sign_up(&app, "ada@customer.example").await;
    until("it is busy", async || sent("temporary").await == 1).await;
    sign_up(&app, "bob@customer.example").await;
    until("bob is refused", async || sent("permanent").await == 1).await;
    server.mail_to("ada@customer.example").await;
    until("the queue is empty", async || metric(&app, "grantkeep_mails_waiting").await == 0).await;
    assert_eq!((sent("sent").await, sent("permanent").await, server.mails().len()), (1, 1, 1));
    assert!(app.log().contains("a mail did not go out") && app.log().contains("550"), "{}", app.log());
    assert!(!app.log().contains("bob@"), "no address of a person is logged: {}", app.log());
}
