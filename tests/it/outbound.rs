//! The door out, seen from outside: what the environment of the process would like to change about it.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::tenant::Tenant;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

#[tokio::test]
async fn a_proxy_of_the_environment_hears_nothing() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    proxy.set_nonblocking(true).expect("a listener");
    let url = format!("http://{}", proxy.local_addr().expect("an address"));
    let variables: Vec<(&str, &str)> =
        ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
            .into_iter()
            .map(|name| (name, url.as_str()))
            .collect();
    let app = App::spawn(Stores::Embedded, &[&variables[..], &[("NO_PROXY", ""), ("no_proxy", "")]].concat());
    let sandbox = sandbox(Duration::from_secs(1)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("alice").await;
    let body = serde_json::json!({ "provider": "sandbox", "end_user": "alice", "force_refresh": true });
    let token = tenant.post("/get-access-token", &body).await.expect(200);
    assert_eq!(token.body["refresh"]["state"], "refreshed", "an exchange and a refresh went out");
    assert_eq!(proxy.accept().expect_err("nobody").kind(), ErrorKind::WouldBlock);
}
