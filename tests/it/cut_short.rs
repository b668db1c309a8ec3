//! A completion that is cut short: the store goes away, or the tenant's backend does. What the provider gave is kept.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::Browser;
use crate::support::redis::RedisServer;
use crate::support::tenant::{Tenant, agree};
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

/// Sends a completion, and resets the connection 400 ms later.
fn leave_in_the_middle(tenant: &Tenant, body: &str) {
    use std::io::Write;
    let host = tenant.url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    let head = format!(
        "POST /complete-authorization HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        tenant.key,
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(400));
}

#[tokio::test]
async fn a_grant_survives_a_store_that_fails_when_it_arrives() {
    let redis = Arc::new(RedisServer::start(&[]));
    let app = App::start_with(
        Stores::Redis(Arc::clone(&redis)),
        &[("store.timeout", "300ms"), ("store.connect_timeout", "300ms")],
    )
    .await;
    let sandbox = sandbox(HOUR).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let link = tenant.begin("alice").await;
    let completion = agree(&mut Browser::new(), &link).await.parameter("completion").unwrap();
    sandbox.control().fault(Rule::new(Endpoint::Token, Fault::Delay(400)).times(1));
    let completing = tokio::spawn({
        let tenant = tenant.clone();
        async move { tenant.complete(&completion, "alice").await }
    });
    while sandbox.control().counts().exchange_requests == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    redis.say::<()>(&["CLIENT", "PAUSE", "1500", "ALL"]);
    let done = completing.await.unwrap();
    done.expect(201);
    tenant.token("alice").await.expect(200);
}

#[tokio::test]
async fn a_backend_that_goes_away_at_the_worst_moment_leaves_no_session_stuck() {
    let redis = Arc::new(RedisServer::start(&[]));
    let app = App::start(Stores::Redis(Arc::clone(&redis))).await;
    let sandbox = sandbox(HOUR).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    let link = tenant.begin("alice").await;
    let completion = agree(&mut Browser::new(), &link).await.parameter("completion").unwrap();
    // Reads pass, so the caller is known and checked; the claim on the session waits, and its caller leaves.
    redis.say::<()>(&["CLIENT", "PAUSE", "800", "WRITE"]);
    leave_in_the_middle(&tenant, &json!({ "completion": completion, "end_user": "alice" }).to_string());
    for _ in 0..200 {
        if tenant.token("alice").await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", tenant.complete(&completion, "alice").await);
}
