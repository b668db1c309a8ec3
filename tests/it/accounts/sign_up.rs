//! Signing up tells nobody who has an account, and a link activates its own password only.

use super::{address, post, signs_up};
use crate::on_both_stores;
use crate::support::app::{App, Stores};
use crate::support::browser::{Browser, http};
use crate::support::raw::{Raw, difference, raw};
use crate::support::tenant::{PASSWORD, sign_up};
use serde_json::json;

const OTHER: &str = "another quiet harbour at dawn";

/// The links mailed to an address, oldest first, once there are so many.
async fn links(app: &App, to: &str, count: usize) -> Vec<String> {
    for _ in 0..1000 {
        let entries = std::fs::read_dir(&app.outbox).into_iter().flatten();
        let mut mails: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        mails.retain(|path| path.extension().is_some_and(|end| end == "eml"));
        mails.sort();
        let texts = mails.iter().map(|path| std::fs::read_to_string(path).expect("a text"));
        let texts = texts.filter(|text| text.contains(&format!("To: {to}")));
        let links: Vec<String> = texts
            .filter_map(|text| {
                text.split_whitespace().find(|word| word.starts_with(&app.url)).map(str::to_owned)
            })
            .collect();
        if links.len() >= count {
            return links;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{count} mails to {to} did not come")
}

/// Follows a link as a person does, and presses the button.
async fn follows(link: &str) -> (u16, String) {
    let mut browser = Browser::new();
    let page = browser.get(link).await;
    if page.status != 200 {
        return (page.status.as_u16(), page.body);
    }
    let done = browser.send(&page, &page.form()).await;
    (done.status.as_u16(), done.body)
}

async fn logs_in(app: &App, email: &str, password: &str) -> u16 {
    raw(http().get(format!("{}/v1/api-keys", app.url)).basic_auth(email, Some(password))).await.status
}

on_both_stores!(the_answer_is_the_same_for_every_address, |stores: Stores| async move {
    let app = App::start(stores).await;
    let (known, pending, new) = (address("known"), address("pending"), address("new"));
    sign_up(&app, &known).await;
    assert_eq!(signs_up(&app, &pending, PASSWORD).await.status, 202);
    links(&app, &pending, 1).await;
    let answers = [
        signs_up(&app, &new, OTHER).await,
        signs_up(&app, &pending, OTHER).await,
        signs_up(&app, &known, OTHER).await,
        signs_up(&app, &known.to_uppercase(), PASSWORD).await,
    ];
    assert_eq!((answers[0].status, answers[0].text().as_str()), (202, r#"{"status":"accepted"}"#));
    for answer in &answers {
        assert_eq!(difference((&answers[0], ""), (answer, "")), None);
    }
    // Whose account it is stays so.
    let late = links(&app, &known, 3).await;
    let (status, page) = follows(&late[1]).await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("has an account already"), "{page}");
    assert_eq!((logs_in(&app, &known, OTHER).await, logs_in(&app, &known, PASSWORD).await), (401, 200));
});

on_both_stores!(a_link_activates_its_own_password, |stores: Stores| async move {
    let app = App::start(stores).await;
    // Mine is the first of two, or the second: who follows a link first has the address.
    for first in [0, 1] {
        let email = address("mine");
        let passwords = [PASSWORD, OTHER];
        for (n, password) in passwords.iter().enumerate() {
            assert_eq!(signs_up(&app, &email, password).await.status, 202);
            links(&app, &email, n + 1).await;
        }
        let links = links(&app, &email, 2).await;
        for password in passwords {
            assert_eq!(logs_in(&app, &email, password).await, 401, "nobody has verified it");
        }
        assert_eq!(follows(&links[first]).await.0, 200);
        let other = 1 - first;
        let (status, page) = follows(&links[other]).await;
        assert_eq!(status, 409, "{page}");
        assert!(page.contains("has an account already"), "{page}");
        assert_eq!(logs_in(&app, &email, passwords[first]).await, 200);
        assert_eq!(logs_in(&app, &email, passwords[other]).await, 401);
        for link in &links {
            assert_eq!(follows(link).await.0, 404, "it was used");
        }
        assert_eq!(logs_in(&app, &email, passwords[first]).await, 200);
    }
});

on_both_stores!(a_link_is_good_once_and_looking_does_not_use_it, |stores: Stores| async move {
    let app = App::start(stores).await;
    let email = address("scanned");
    signs_up(&app, &email, PASSWORD).await;
    let link = app.mailed_link(&email).await;
    for _ in 0..3 {
        assert_eq!(Browser::new().get(&link).await.status, 200, "a scanner follows it");
    }
    assert_eq!(logs_in(&app, &email, PASSWORD).await, 401);
    let head = raw(http().head(&link)).await;
    assert_eq!(head.status, 405, "what a browser opens has no HEAD");
    let token = link.split_once("token=").expect("a token").1;
    let button =
        || post(&app, "/verify-email", &json!({ "token": token })).header("accept", "application/json");
    let verified = raw(button()).await;
    assert_eq!(
        (verified.status, verified.json()["status"].as_str()),
        (200, Some("verified")),
        "{}",
        verified.text()
    );
    assert_eq!(verified.json()["tenant"].as_str().map(str::len), Some(22));
    let again = raw(button()).await;
    assert_eq!((again.status, again.code().as_str()), (404, "not_found"));
    let unknown =
        post(&app, "/verify-email", &json!({ "token": "never-made" })).header("accept", "application/json");
    assert_eq!(difference((&again, ""), (&raw(unknown).await, "")), None);
    assert_eq!(Browser::new().get(&link).await.status, 404);
    let page = Browser::new().get(&format!("{}/verify-email", app.url)).await;
    assert!(page.status == 400 && page.body.contains("<html"), "{}", page.body);
    assert_eq!(logs_in(&app, &email, PASSWORD).await, 200);
});

#[tokio::test]
async fn two_who_press_the_button_at_once_hear_the_same() {
    let app = App::start(Stores::redis()).await;
    let email = address("hasty");
    signs_up(&app, &email, PASSWORD).await;
    let link = app.mailed_link(&email).await;
    let token = link.split_once("token=").expect("a token").1.to_owned();
    let press =
        || raw(post(&app, "/verify-email", &json!({ "token": token })).header("accept", "application/json"));
    let (one, other) = tokio::join!(press(), press());
    let verified: Vec<Raw> = [one, other].into_iter().filter(|answer| answer.status == 200).collect();
    assert!(!verified.is_empty());
    assert!(verified.iter().all(|answer| answer.text() == verified[0].text()), "{verified:?}");
    assert_eq!(logs_in(&app, &email, PASSWORD).await, 200);
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let app = App::start(Stores::Embedded).await;
    let long = "tulip ".repeat(200);
    for (field, body) in [
        ("password", json!({ "email": "ada@example.com", "password": "too short" })),
        ("password", json!({ "email": "ada@example.com", "password": "passwordpassword1" })),
        ("password", json!({ "email": "ada.lovelace@example.com", "password": "ada.lovelace@example.com" })),
        ("password", json!({ "email": "ada@example.com", "password": "tulips\nin a green vase" })),
        ("password", json!({ "email": "ada@example.com", "password": long })),
        ("password", json!({ "email": "ada@example.com" })),
        ("email", json!({ "email": "no address", "password": PASSWORD })),
        ("email", json!({ "password": PASSWORD })),
        ("product", json!({ "email": "ada@example.com", "password": PASSWORD, "product": "x".repeat(81) })),
        ("product", json!({ "email": "ada@example.com", "password": PASSWORD, "product": ["x"] })),
        ("role", json!({ "email": "ada@example.com", "password": PASSWORD, "role": "owner" })),
    ] {
        let answer = raw(post(&app, "/signup", &body)).await;
        let said = answer.json();
        assert_eq!((answer.status, said["field"].as_str()), (400, Some(field)), "{body}: {said}");
        assert!(said["detail"].as_str().expect("a detail").len() > 10, "{said}");
    }
}

#[tokio::test]
async fn too_many_sign_ups_from_one_place_wait() {
    let limit = [("limits.sign_ups_per_hour", "2"), ("limits.mails_per_hour", "1")];
    let app = App::start_with(Stores::Embedded, &limit).await;
    let email = address("often");
    let first = signs_up(&app, &email, PASSWORD).await;
    let unsent = signs_up(&app, &email, PASSWORD).await;
    assert_eq!(difference((&first, ""), (&unsent, "")), None, "nobody is told that no mail goes out");
    let refused = signs_up(&app, &address("more"), PASSWORD).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    let wait: u64 = refused.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(links(&app, &email, 1).await.len(), 1);
}
