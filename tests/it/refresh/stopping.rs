//! A refresh or an exchange under way outlives its client and the order to stop.

use super::*;
use crate::support::browser::Browser;
use crate::support::tenant::agree;
use grantkeep::app::new_master_key;
use std::io::{Read, Write};
use std::net::TcpStream;

/// A process of the real binary that knows a sandbox; and what starts another on the same store.
struct Process {
    stage: Stage,
    stores: Stores,
    settings: Vec<(String, String)>,
}

impl Process {
    async fn start() -> Self {
        let files = STRICT.folder();
        let mut settings = vec![
            ("providers.dirs".to_owned(), files.path().display().to_string()),
            ("vault.master_keys".to_owned(), new_master_key(Some("test"))),
        ];
        settings.extend(QUICK.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let stores = Stores::redis();
        let app = Self::spawn(&stores, &settings);
        Self { stage: Stage::on(app, STRICT, files).await, stores, settings }
    }

    fn spawn(stores: &Stores, settings: &[(String, String)]) -> App {
        let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        App::spawn(stores.clone(), &settings)
    }

    /// Another process, after this one.
    fn next(&self) -> App {
        Self::spawn(&self.stores, &self.settings)
    }

    async fn drains(&self) {
        let ready = format!("{}/readyz", self.stage.app.admin);
        until("it says that it drains", async || {
            let answer =
                crate::support::browser::http().get(&ready).send().await.expect("it answers while it drains");
            answer.status() == 503 && answer.text().await.expect("a text").contains("draining")
        })
        .await;
    }
}

/// What a client writes who will not stay: a request on a socket of its own.
fn request(tenant: &Tenant, body: &Value) -> TcpStream {
    let address = tenant.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("it listens");
    let body = body.to_string();
    write!(
        stream,
        "POST /get-access-token HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        tenant.key,
        body.len()
    )
    .expect("it is sent");
    stream
}

#[tokio::test]
async fn an_order_to_stop_waits_for_a_refresh() {
    let mut process = Process::start().await;
    let who = process.stage.connect("ada", LONG).await;
    process.stage.strike(Fault::Delay(1000));
    let (answer, ()) = tokio::join!(process.stage.forced("ada"), async {
        until("the refresh is under way", async || process.stage.counts().refreshes == 1).await;
        process.stage.app.process().signal("TERM");
        process.drains().await;
    });
    let token = answer.expect(200).text("access_token");
    assert_eq!(process.stage.app.ended().await, 0, "{}", process.stage.app.log());
    let heir = process.next();
    let after = process.stage.tenant.at(&heir).token("ada").await.expect(200);
    assert_eq!((after.text("access_token"), &after.body["refresh"]["state"]), (token, &"fresh".into()));
    assert_eq!(process.stage.family(&who).refresh_requests, 1);
}

#[tokio::test]
async fn an_order_to_stop_waits_for_an_exchange() {
    let mut process = Process::start().await;
    let tenant = process.stage.tenant.clone();
    let link = tenant.begin("ada").await;
    let back = agree(&mut Browser::new(), &link).await;
    let completion = back.parameter("completion").expect("it came back");
    let delay = Rule::new(Endpoint::Token, Fault::Delay(1000)).times(1);
    assert!(process.stage.sandbox.control().fault(delay));
    let (answer, ()) = tokio::join!(tenant.complete(&completion, "ada"), async {
        until("the exchange is under way", async || process.stage.counts().exchanges == 1).await;
        process.stage.app.process().signal("TERM");
        process.drains().await;
    });
    assert_eq!(answer.expect(201).body["status"], "active");
    assert_eq!(process.stage.app.ended().await, 0, "{}", process.stage.app.log());
    let heir = process.next();
    let after = tenant.at(&heir).token("ada").await.expect(200);
    assert!(process.stage.works(&after.text("access_token")).await);
    assert_eq!((process.stage.counts().exchange_requests, process.stage.counts().refreshes), (1, 0));
}

/// The socket is reset, so that the server drops the handler in the middle: the number of those who wait says that it did.
#[tokio::test]
async fn a_client_that_goes_away_ends_no_refresh() {
    let process = Process::start().await;
    let who = process.stage.connect("ada", LONG).await;
    process.stage.strike(Fault::Delay(1500));
    let stream = request(
        &process.stage.tenant,
        &json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true }),
    );
    until("the refresh is under way", async || process.stage.counts().refreshes == 1).await;
    assert_eq!(process.stage.app.metric("grantkeep_refresh_waiters").await, Some(1.0));
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(stream);
    until("nobody waits", async || process.stage.app.metric("grantkeep_refresh_waiters").await == Some(0.0))
        .await;
    assert_eq!(
        process
            .stage
            .app
            .metric("grantkeep_refreshes_total{provider=\"sandbox\",class=\"granted\",outcome=\"refreshed\"}")
            .await,
        None
    );
    assert_eq!(process.stage.seen(&who).await["generation"], 1, "the answer has not come yet");
    until("the token is stored", async || process.stage.seen(&who).await["generation"] == 2).await;
    let after = process.stage.token("ada").await.expect(200);
    assert!(
        after.text("access_token") != who.token && process.stage.works(&after.text("access_token")).await
    );
    assert_eq!(process.stage.family(&who).refresh_requests, 1);
}

/// The same, and the order to stop comes when no request is open any more.
#[tokio::test]
async fn a_refresh_that_nobody_waits_for_is_finished_before_the_end() {
    let mut process = Process::start().await;
    let who = process.stage.connect("ada", LONG).await;
    process.stage.strike(Fault::Delay(1000));
    let stream = request(
        &process.stage.tenant,
        &json!({ "provider": "sandbox", "end_user": "ada", "force_refresh": true }),
    );
    until("the refresh is under way", async || process.stage.counts().refreshes == 1).await;
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(stream);
    until("nobody waits", async || process.stage.app.metric("grantkeep_refresh_waiters").await == Some(0.0))
        .await;
    process.stage.app.process().signal("TERM");
    assert_eq!(process.stage.app.ended().await, 0, "{}", process.stage.app.log());
    let heir = process.next();
    let after = process.stage.tenant.at(&heir).token("ada").await.expect(200);
    assert_eq!((&after.body["generation"], &after.body["refresh"]["state"]), (&2.into(), &"fresh".into()));
    assert_eq!(process.stage.family(&who).refresh_requests, 1);
}

/// A connection that is kept open and idle does not hold up the end.
#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let mut process = Process::start().await;
    process.stage.connect("ada", LONG).await;
    let mut idle = request(&process.stage.tenant, &json!({ "provider": "sandbox", "end_user": "ada" }));
    let mut head = [0; 12];
    idle.read_exact(&mut head).expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 200");
    let clock = SystemClock::new();
    let asked_at = clock.monotonic();
    process.stage.app.process().signal("TERM");
    assert_eq!(process.stage.app.ended().await, 0, "{}", process.stage.app.log());
    let took = clock.monotonic().saturating_sub(asked_at);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
