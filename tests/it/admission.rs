//! Who is let in, and how often, through the front door: rates, places, and those who hold on to a connection.

use crate::journey::sandbox;
use crate::requests::Wire;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::raw;
use crate::support::tenant::{Answer, PASSWORD, Tenant, answer, with_json};
use futures_util::future::join_all;
use grantkeep::adapters::system::SystemClock;
use grantkeep::ports::Clock;
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const HOUR: Duration = Duration::from_hours(1);

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Without the time, which goes by.
fn standing(answer: &Answer) -> String {
    let limits = header(answer, "ratelimit").split(", ");
    limits.map(|limit| limit.split(";t=").next().unwrap_or_default()).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_key_may_so_often_and_its_tenant_too() {
    let rates = [("limits.per_key", "3/1h"), ("limits.per_tenant", "6/1h")];
    let app = App::start_with(Stores::Embedded, &rates).await;
    let tenant = Tenant::new(&app).await;
    // Making the key was one request of the tenant, with its password.
    let answers: Vec<Answer> = join_all((0..3).map(|_| tenant.get("/v1/connections"))).await;
    // They are counted of the one and then of the other, and may come there in another order.
    let said: Vec<String> = answers.iter().map(standing).collect();
    let (mut of_key, mut of_tenant): (Vec<&str>, Vec<&str>) =
        said.iter().map(|said| said.split_once(", ").expect("both")).unzip();
    of_key.sort_unstable();
    of_tenant.sort_unstable();
    assert_eq!(of_key, [0, 1, 2].map(|n| format!("\"key\";r={n}")));
    assert_eq!(of_tenant, [2, 3, 4].map(|n| format!("\"tenant\";r={n}")));
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(header(&answers[0], "ratelimit-policy"), "\"key\";q=3;w=3600, \"tenant\";q=6;w=3600");

    let refused = tenant.get("/v1/connections").await.expect(429);
    assert_eq!((refused.code(), standing(&refused).as_str()), ("rate_limited", "\"key\";r=0"));
    let wait: u64 = header(&refused, "retry-after").parse().expect("seconds");
    assert!((1_190..=1_200).contains(&wait), "a third of an hour brings one back: {wait}");
    assert!(header(&refused, "ratelimit").ends_with(&format!(";t={wait}")), "{:?}", refused.headers);

    // Another key of the tenant has its own rate, and the tenant's is the same.
    let request = http().post(format!("{}/v1/api-keys", app.url));
    let request = request.basic_auth(&tenant.email, Some(PASSWORD));
    let made = answer(with_json(request, &json!({ "name": "another" }))).await;
    let another = Tenant { key: made.expect(201).text("key"), ..tenant.clone() };
    assert_eq!(standing(&another.get("/v1/connections").await.expect(200)), "\"key\";r=2, \"tenant\";r=0");
    let refused = another.get("/v1/connections").await.expect(429);
    assert_eq!(standing(&refused), "\"key\";r=1, \"tenant\";r=0");

    // Nobody else is concerned, and who is not known is not counted as them.
    let stranger = Tenant::new(&app).await;
    stranger.get("/v1/connections").await.expect(200);
    let forged = Tenant { key: format!("{}x", stranger.key), ..stranger.clone() };
    assert_eq!(standing(&forged.get("/v1/connections").await.expect(401)), "");
    assert_eq!(standing(&stranger.get("/v1/connections").await.expect(200)), "\"key\";r=1, \"tenant\";r=3");
    assert_eq!(app.metric("grantkeep_admission_refusals_total{limit=\"key\"}").await, Some(1.0));
    assert_eq!(app.metric("grantkeep_admission_refusals_total{limit=\"tenant\"}").await, Some(1.0));
}

#[tokio::test]
async fn an_address_may_so_often_whatever_it_asks_for() {
    let settings = [("limits.per_address", "4/1h"), ("server.trusted_proxies", "127.0.0.0/8")];
    let app = App::start_with(Stores::Embedded, &settings).await;
    let from = |method: Method, path: &str, address: &str| {
        let request = http().request(method, format!("{}{path}", app.url));
        request.header("x-forwarded-for", address).body("{}")
    };
    for (path, address) in [
        ("/providers", "192.0.2.1"),
        ("/nowhere", "192.0.2.1"),
        ("/get-access-token", "192.0.2.1"),
        ("/openapi.json", "192.0.2.1"),
    ] {
        assert_ne!(raw(from(Method::POST, path, address)).await.status, 429, "{path}");
    }
    let refused = raw(from(Method::GET, "/providers", "192.0.2.1")).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert!(refused.header("ratelimit").is_some_and(|limit| limit.starts_with("\"address\";r=0;t=")));
    assert_eq!(raw(from(Method::GET, "/providers", "192.0.2.2")).await.status, 200);
    // Whoever has one address of a /64 has all of them.
    for host in 1..=4 {
        let address = format!("2001:db8::{host}");
        assert_eq!(raw(from(Method::GET, "/providers", &address)).await.status, 200);
    }
    assert_eq!(raw(from(Method::GET, "/providers", "2001:db8:0:0:ffff::1")).await.status, 429);
    assert_eq!(raw(from(Method::GET, "/providers", "2001:db8:0:1::1")).await.status, 200);
    // What was refused was read: the connection stays.
    let mut wire = Wire::to(&app.url).await;
    for _ in 0..3 {
        let body = format!("{{\"provider\":\"{}\"}}", "x".repeat(30_000));
        let heard = wire.post("/get-access-token", &["x-forwarded-for: 192.0.2.1"], &body).await;
        assert_eq!((heard.status, heard.code().as_str()), (429, "rate_limited"));
        assert!(!heard.head.contains("connection: close"), "{}", heard.head);
    }
}

#[tokio::test]
async fn nothing_is_said_of_rates_where_there_are_none() {
    let app = App::start(Stores::Embedded).await;
    let tenant = Tenant::new(&app).await;
    let answer = tenant.get("/v1/connections").await.expect(200);
    assert_eq!((header(&answer, "ratelimit"), header(&answer, "ratelimit-policy")), ("", ""));
}

/// A tenant whose provider hangs holds half of the places; the others go on, and it hears at once that there are no more.
#[tokio::test]
async fn a_tenant_whose_provider_hangs_leaves_room() {
    let app = App::start_with(Stores::Embedded, &[("limits.at_once", "6")]).await;
    let sandbox = sandbox(HOUR).await;
    let (slow, other) = (Tenant::new(&app).await, Tenant::new(&app).await);
    for tenant in [&slow, &other] {
        tenant.enable(&sandbox).await.expect(201);
        for user in ["a", "b", "c", "d"] {
            tenant.connect(user).await;
        }
    }
    assert!(sandbox.control().fault(Rule::new(Endpoint::Token, Fault::Delay(3_000)).times(3)));
    let forced = |user: &'static str| {
        let slow = slow.clone();
        async move {
            let body = json!({ "provider": "sandbox", "end_user": user, "force_refresh": true });
            slow.post("/get-access-token", &body).await
        }
    };
    let waiting: Vec<_> = ["a", "b", "c"].into_iter().map(|user| tokio::spawn(forced(user))).collect();
    tokio::time::sleep(Duration::from_millis(800)).await;
    let clock = SystemClock::new();
    let refused = forced("d").await.expect(503);
    assert_eq!((refused.code(), header(&refused, "retry-after")), ("overloaded", "1"));
    assert!(clock.monotonic() < Duration::from_secs(1), "it is told at once");
    other.token("a").await.expect(200);
    for wait in waiting {
        wait.await.expect("no panic").expect(200);
    }
    forced("d").await.expect(200);
    assert_eq!(app.metric("grantkeep_admission_refusals_total{limit=\"share\"}").await, Some(1.0));
}

/// Connections that send half a head or half a body, and such that read nothing of what they asked for, are ended; and what
/// they held is free again.
#[tokio::test]
async fn who_is_slow_holds_nothing_for_ever() {
    const EACH: usize = 30;
    let app = App::spawn(Stores::Embedded, &[("limits.at_once", "20")]);
    let address = app.url.trim_start_matches("http://").to_owned();
    let head = format!("GET /openapi.json HTTP/1.1\r\nhost: {address}\r\n");
    let body = format!(
        "POST /get-access-token HTTP/1.1\r\nhost: {address}\r\ncontent-length: 100\r\n\
         content-type: application/json\r\n\r\n{{"
    );
    let many = format!("{head}\r\n").repeat(200);
    let before = app.process().open_files();
    let mut streams = Vec::new();
    for text in [&head, &body, &many] {
        for _ in 0..EACH {
            let mut stream = TcpStream::connect(&address).await.expect("it listens");
            stream.write_all(text.as_bytes()).await.expect("it takes some bytes");
            streams.push(stream);
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(app.process().open_files() >= before + 3 * EACH, "they are there");
    // None of them is in anybody's way.
    assert_eq!(raw(http().get(format!("{}/providers", app.url))).await.status, 200);
    let clock = SystemClock::new();
    while app.process().open_files() >= before + 10 {
        assert!(clock.monotonic() < Duration::from_secs(90), "{} are held", app.process().open_files());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(raw(http().get(format!("{}/providers", app.url))).await.status, 200);
    drop(streams);
}
