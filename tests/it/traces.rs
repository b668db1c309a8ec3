//! Traces, as a collector gets them from a server in a process of its own.

use crate::journey::sandbox;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::collector::{Collector, attribute, hex};
use crate::support::tenant::{PASSWORD, Tenant, answer, with_json};
use futures_util::future::join_all;
use grantkeep::sandbox::{Endpoint, Fault, Grant, Rule, Sandbox};
use opentelemetry_proto::tonic::trace::v1::Span;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use std::time::Duration;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const ERROR: i32 = 2;

/// A server that sends its traces there, a sandbox, and a tenant with somebody connected.
async fn stage(further: &[(&str, &str)]) -> (App, Sandbox, Tenant) {
    let app = App::spawn(Stores::Embedded, further);
    let sandbox = sandbox(Duration::from_hours(1)).await;
    let tenant = Tenant::new(&app).await;
    tenant.enable(&sandbox).await.expect(201);
    tenant.connect("end-user-canary").await;
    (app, sandbox, tenant)
}

/// Asks for a token from a refresh that begins now.
fn forced(tenant: &Tenant) -> RequestBuilder {
    let body = json!({ "provider": "sandbox", "end_user": "end-user-canary", "force_refresh": true });
    with_json(tenant.request(Method::POST, "/get-access-token"), &body)
}

/// The spans of the request with that id: its own, and those of its calls.
fn of_request(spans: &[Span], id: &str) -> (Span, Vec<Span>) {
    let own = |span: &&Span| attribute(&span.attributes, "grantkeep.request_id") == id;
    let (mut servers, calls): (Vec<Span>, Vec<Span>) =
        spans.iter().filter(own).cloned().partition(|span| span.kind == SERVER);
    assert_eq!(servers.len(), 1, "{id}: {spans:?}");
    (servers.remove(0), calls)
}

async fn metric(app: &App, name: &str) -> f64 {
    app.metric(name).await.unwrap_or(0.0)
}

#[tokio::test]
async fn a_request_and_its_call_to_the_provider_are_one_trace_under_the_callers() {
    let collector = Collector::start(200);
    let headers = "authorization=Bearer collector-credential";
    let (mut app, sandbox, tenant) =
        stage(&[("trace.url", &collector.url), ("trace.headers", headers), ("trace.service", "vault")]).await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let named = |id: &'static str| forced(&tenant).header("x-request-id", id);
    let token = answer(named("first").header("traceparent", &traceparent)).await.expect(200);
    sandbox
        .control()
        .fault(Rule::new(Endpoint::Token, Fault::ServerError).only(Grant::RefreshToken).times(1));
    answer(named("second").header("traceparent", "00-not-a-trace-01")).await.expect(200);
    answer(named("third").header("traceparent", format!("00-{}-{PARENT}-00", TRACE.replace('4', "5")))).await;
    app.process().signal("TERM");
    assert_eq!(app.ended().await, 0);

    // Flushed by the stop: nothing is waited for.
    let spans = collector.spans_now();
    let (request, calls) = of_request(&spans, "first");
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (TRACE.into(), PARENT.into()));
    assert_eq!((request.name.as_str(), request.kind), ("POST /get-access-token", SERVER));
    let said = |span: &Span, key: &str| attribute(&span.attributes, key);
    assert_eq!(said(&request, "http.route"), "/get-access-token");
    assert_eq!(said(&request, "http.request.method"), "POST");
    assert_eq!(said(&request, "http.response.status_code"), "200");
    let [call] = &calls[..] else { panic!("one call: {calls:?}") };
    assert_eq!((&call.trace_id, &call.parent_span_id), (&request.trace_id, &request.span_id));
    assert_eq!((call.name.as_str(), call.kind), ("POST", CLIENT));
    assert_eq!(said(call, "grantkeep.provider"), "sandbox");
    assert_eq!(said(call, "server.address"), "127.0.0.1");
    assert_eq!(said(call, "http.response.status_code"), "200");
    assert!(request.start_time_unix_nano <= call.start_time_unix_nano);
    assert!(call.end_time_unix_nano <= request.end_time_unix_nano);

    // What is no trace begins one of our own; a call that failed says so.
    let (request, calls) = of_request(&spans, "second");
    assert!(request.parent_span_id.is_empty() && hex(&request.trace_id) != TRACE, "{request:?}");
    assert_eq!(calls[0].status.as_ref().map(|status| status.code), Some(ERROR), "{calls:?}");
    assert_eq!(said(&calls[0], "http.response.status_code"), "500");
    assert_eq!(request.status.map_or(0, |status| status.code), 0, "the old token was handed out");
    // Who does not want to be traced is not.
    assert!(!spans.iter().any(|span| said(span, "grantkeep.request_id") == "third"));
    // The exchange has its span too, in the request of the completion, whose work runs on another runtime.
    let mut exchange =
        spans.iter().filter(|span| span.kind == SERVER && span.name.ends_with("/complete-authorization"));
    let exchange = exchange.next_back().expect("a completion");
    assert!(spans.iter().any(|span| span.parent_span_id == exchange.span_id), "{spans:?}");

    let resource = collector.requests()[0].resource_spans[0].resource.clone().expect("a resource");
    assert_eq!(attribute(&resource.attributes, "service.name"), "vault");
    let posted = collector.posted();
    assert!(posted.iter().all(|one| one.head.contains("authorization: Bearer collector-credential")));
    assert!(posted.iter().all(|one| one.head.contains("content-type: application/x-protobuf")));
    let bytes = collector.bytes();
    let secret = token.text("access_token");
    for never in [secret.as_str(), &tenant.key, &tenant.email, "sandbox-secret", PASSWORD, "end-user-canary"]
    {
        assert!(!bytes.windows(never.len()).any(|window| window == never.as_bytes()), "{never}");
    }
}

#[tokio::test]
async fn only_a_part_is_kept_and_a_caller_may_be_ignored() {
    for follow in ["true", "false"] {
        let collector = Collector::start(200);
        let (mut app, _sandbox, tenant) =
            stage(&[("trace.url", &collector.url), ("trace.sample", "0"), ("trace.follow", follow)]).await;
        let traceparent = format!("00-{TRACE}-{PARENT}-01");
        answer(forced(&tenant).header("x-request-id", "one").header("traceparent", traceparent))
            .await
            .expect(200);
        app.process().signal("TERM");
        assert_eq!(app.ended().await, 0);
        let spans = collector.spans_now();
        let traces: Vec<String> = spans.iter().map(|span| hex(&span.trace_id)).collect();
        if follow == "true" {
            assert_eq!(traces, [TRACE, TRACE], "a request and its call, because the caller asked for it");
        } else {
            assert_eq!(traces, [""; 0], "nothing begins a trace here, and nobody is followed");
        }
    }
}

#[tokio::test]
async fn a_collector_that_says_no_costs_spans_and_a_line() {
    let collector = Collector::start(403);
    let (mut app, _sandbox, tenant) = stage(&[("trace.url", &collector.url)]).await;
    answer(forced(&tenant)).await.expect(200);
    let failed = r#"grantkeep_trace_spans_total{outcome="failed"}"#;
    for _ in 0..1000 {
        if metric(&app, failed).await > 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(metric(&app, failed).await > 0.0);
    app.process().signal("TERM");
    assert_eq!(app.ended().await, 0, "{}", app.log());
    let told = app.log().lines().filter(|line| line.contains("the collector takes no traces")).count();
    assert_eq!(told, 1, "{}", app.log());
}

#[tokio::test]
async fn a_collector_that_hangs_holds_nobody_up() {
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/v1/traces", silent.local_addr().expect("an address"));
    let mut app = App::spawn(Stores::Embedded, &[("trace.url", &url), ("server.workers", "2")]);
    let client = http();
    let dropped = r#"grantkeep_trace_spans_total{outcome="dropped"}"#;
    for _ in 0..100 {
        let ask = |_| client.get(format!("{}/nowhere", app.url)).send();
        let answers = join_all((0..200).map(ask)).await;
        assert!(answers.into_iter().all(|answer| answer.is_ok_and(|answer| answer.status() == 404)));
        if metric(&app, dropped).await > 0.0 {
            break;
        }
    }
    assert!(metric(&app, dropped).await > 0.0, "the queue is bounded");
    app.process().signal("TERM");
    assert_eq!(app.ended().await, 0, "{}", app.log());
}
