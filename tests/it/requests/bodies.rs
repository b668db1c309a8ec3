//! Bodies that are too large, broken, or wrong in one field.

use super::wire::Wire;
use crate::support::app::{App, Stores};
use crate::support::browser::http;
use crate::support::raw::raw;
use crate::support::tenant::Tenant;

const LIMIT: usize = 64 * 1024;

#[tokio::test]
async fn a_body_has_an_end() {
    let app = App::start(Stores::Embedded).await;
    let tenant = Tenant::new(&app).await;
    let bearer = format!("authorization: Bearer {}", tenant.key);
    // As large as may be, and one byte more.
    for (length, status, code) in
        [(LIMIT, 400, "invalid_request"), (LIMIT + 1, 413, "too_large"), (LIMIT * 10, 413, "too_large")]
    {
        let body = format!("{}{{}}", " ".repeat(length - 2));
        let heard = Wire::to(&app.url).await.post("/get-access-token", &[&bearer], &body).await;
        assert_eq!((heard.status, heard.code().as_str()), (status, code), "{length}: {}", heard.body);
    }
    // In chunks, with no length declared.
    let mut wire = Wire::to(&app.url).await;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000)).repeat(17);
    let chunked = ["content-type: application/json", "transfer-encoding: chunked", bearer.as_str()];
    wire.send("POST /get-access-token", &chunked, format!("{chunk}0\r\n\r\n").as_bytes()).await;
    let heard = wire.hear().await;
    assert_eq!((heard.status, heard.code().as_str()), (413, "too_large"));
    // Declared beyond all reason: refused before it comes, by whatever route.
    for path in ["/get-access-token", "/nowhere", "/signup"] {
        let mut wire = Wire::to(&app.url).await;
        wire.send(&format!("POST {path}"), &["content-length: 99999999999"], b"").await;
        let heard = wire.hear().await;
        assert_eq!((heard.status, heard.code().as_str()), (413, "too_large"), "{path}");
        assert!(heard.head.contains("connection: close"), "{}", heard.head);
    }
}

#[tokio::test]
async fn a_refusal_does_not_cost_the_connection() {
    let app = App::start(Stores::Embedded).await;
    let tenant = Tenant::new(&app).await;
    let bearer = format!("authorization: Bearer {}", tenant.key);
    let body = format!("{{\"provider\": \"slack\", \"end_user\": \"{}\"}}", "x".repeat(200));
    let mut wire = Wire::to(&app.url).await;
    for (path, headers, body, status) in [
        ("/get-access-token", &[][..], body.as_str(), 401),
        ("/get-access-token", &["authorization: Bearer junk"], &body, 401),
        ("/nowhere", &[], &body, 404),
        ("/providers", &[], &body, 405),
        ("/get-access-token", &[bearer.as_str()], "{", 400),
        ("/get-access-token", &[bearer.as_str()], &body, 404),
        ("/v1/api-keys", &["authorization: Bearer junk"], &" ".repeat(LIMIT), 401),
    ] {
        let heard = wire.post(path, headers, body).await;
        assert_eq!(heard.status, status, "{path}: {}", heard.body);
        assert!(!heard.head.contains("connection: close"), "{}", heard.head);
    }
    wire.send("GET /providers", &[], b"").await;
    assert_eq!(wire.hear().await.status, 200);
}

/// Media type, body, the field that is named, and words of the detail.
type Case = (&'static str, Vec<u8>, Option<&'static str>, &'static str);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn broken() -> Vec<Case> {
    let deep = [b"{\"provider\": ".as_slice(), &b"[".repeat(5000), &b"]".repeat(5000), b"}"].concat();
    let many = (0..101).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
    vec![
        (JSON, b"{".to_vec(), None, "not good JSON"),
        (JSON, b"[]".to_vec(), None, "must be a JSON object"),
        (JSON, b"null".to_vec(), None, "must be a JSON object"),
        (JSON, b"".to_vec(), None, "body is empty"),
        (JSON, b"{\"provider\": \"sl\xffck\"}".to_vec(), None, "not good JSON"),
        (JSON, deep, None, "not good JSON: recursion limit"),
        (
            JSON,
            b"{\"provider\": \"slack\", \"provider\": \"slack\"}".to_vec(),
            None,
            "`provider` is given twice",
        ),
        (JSON, b"{\"provider\": \"slack\", \"end_user\": \"x\"} {}".to_vec(), None, "not good JSON"),
        ("text/plain", b"provider=slack".to_vec(), None, "Content-Type is not accepted"),
        ("multipart/form-data; boundary=x", b"--x--".to_vec(), None, "Content-Type is not accepted"),
        ("application/json; charset=latin1", b"{}".to_vec(), None, "must be UTF-8"),
        (FORM, b"provider=%ff&end_user=x".to_vec(), None, "not percent-encoded UTF-8"),
        (FORM, b"provider=sl\xffck&end_user=x".to_vec(), None, "not percent-encoded UTF-8"),
        (FORM, many.into_bytes(), None, "more than 100 fields"),
        (FORM, b"provider=slack&provider=google&end_user=x".to_vec(), Some("provider"), "must be a string"),
    ]
}

fn wrong() -> Vec<Case> {
    let json = |text: &str| text.as_bytes().to_vec();
    vec![
        (JSON, json(r#"{"end_user": "x"}"#), Some("provider"), "is missing"),
        (JSON, json(r#"{"provider": "slack"}"#), Some("end_user"), "is missing"),
        (JSON, json(r#"{"provider": 7, "end_user": "x"}"#), Some("provider"), "must be a string"),
        (JSON, json(r#"{"provider": null, "end_user": "x"}"#), Some("provider"), "must be"),
        (JSON, json(r#"{"provider": "No Such", "end_user": "x"}"#), Some("provider"), "provider id"),
        (JSON, json(r#"{"provider": "slack", "end_user": ["x"]}"#), Some("end_user"), "must be a string"),
        (JSON, json(r#"{"provider": "slack", "end_user": ""}"#), Some("end_user"), "255"),
        (
            JSON,
            format!(r#"{{"provider": "slack", "end_user": "{}"}}"#, "é".repeat(128)).into_bytes(),
            Some("end_user"),
            "255",
        ),
        (
            JSON,
            json(r#"{"provider": "slack", "end_user": "x", "min_ttl": -1}"#),
            Some("min_ttl"),
            "whole number",
        ),
        (
            JSON,
            json(r#"{"provider": "slack", "end_user": "x", "min_ttl": 1.5}"#),
            Some("min_ttl"),
            "whole number",
        ),
        (
            JSON,
            json(r#"{"provider": "slack", "end_user": "x", "force_refresh": 1}"#),
            Some("force_refresh"),
            "boolean",
        ),
        (
            JSON,
            json(r#"{"provider": "slack", "end_user": "x", "enduser": "x"}"#),
            Some("enduser"),
            "known are provider",
        ),
        (FORM, json("provider=slack&end_user=x&min_ttl=soon"), Some("min_ttl"), "whole number"),
        (FORM, json("provider=slack&end_user=x&force=1"), Some("force"), "known are provider"),
        (FORM, json("provider=slack"), Some("end_user"), "is missing"),
    ]
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = App::start(Stores::Embedded).await;
    let tenant = Tenant::new(&app).await;
    let request = || http().post(format!("{}/get-access-token", app.url)).bearer_auth(&tenant.key);
    for (media_type, body, field, words) in broken().into_iter().chain(wrong()) {
        let text = String::from_utf8_lossy(&body).chars().take(100).collect::<String>();
        let answer = raw(request().header("content-type", media_type).body(body)).await;
        let said = answer.json();
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_request"), "{text}: {said}");
        assert_eq!(said["field"].as_str(), field, "{text}: {said}");
        let detail = said["detail"].as_str().expect("a detail");
        assert!(detail.contains(words) && detail.len() < 400, "{text}: {detail}");
        assert!(field.is_none_or(|field| detail.contains(&format!("`{field}`"))), "{detail}");
    }
    let none = raw(request().body("{}")).await;
    assert!(none.text().contains("no Content-Type"), "{}", none.text());
    let packed = request().header("content-type", JSON).header("content-encoding", "gzip").body("{}");
    assert!(raw(packed).await.text().contains("Content-Encoding"));
}
