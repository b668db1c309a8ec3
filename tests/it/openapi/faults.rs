//! The check of `support/document.rs` can fail.

use crate::support::document::Said;
use crate::support::schema::fits;
use serde_json::{Value, json};

fn problem(status: u16, code: &str) -> Vec<u8> {
    let problem = json!({
        "type": "about:blank",
        "title": "t",
        "status": status,
        "detail": "d",
        "code": code,
        "request_id": "r",
    });
    problem.to_string().into_bytes()
}

fn said(method: &'static str, path: &'static str, status: u16, body: &[u8]) -> Result<(), String> {
    with(method, path, status, &[("content-type", "application/problem+json")], body)
}

fn with(
    method: &'static str,
    path: &'static str,
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &[u8],
) -> Result<(), String> {
    let headers = [&[("x-request-id", "r")], headers].concat();
    Said { method, path, status, headers, body }.against(&grantkeep::http::openapi_document())
}

#[test]
fn an_answer_that_is_not_in_the_document_is_caught() {
    let good = problem(404, "connection_not_found");
    assert_eq!(said("GET", "/v1/connections/x", 404, &good), Ok(()));
    assert!(said("GET", "/v1/connections/x", 404, &problem(404, "not_found")).is_err(), "another code");
    assert!(said("GET", "/v1/connections/x", 409, &problem(409, "conflict")).is_err(), "another status");
    assert!(
        said("GET", "/v1/connections/x", 404, &problem(410, "connection_not_found")).is_err(),
        "a status that lies"
    );
    assert!(said("GET", "/v1/connections/x", 404, b"{}").is_err(), "no members");
    assert!(said("GET", "/v2/connections/x", 503, &good).is_err(), "another path");
    let page = [("content-type", "text/html; charset=utf-8")];
    assert!(with("GET", "/v1/connections/x", 404, &page, b"<p>").is_err(), "another media type");
    assert_eq!(with("GET", "/verify-email", 404, &page, b"<p>"), Ok(()));
}

#[test]
fn a_header_that_is_missing_is_caught() {
    let (json, allow) = (("content-type", "application/problem+json"), ("allow", "GET, HEAD"));
    let refused = problem(405, "invalid_request");
    assert_eq!(with("PUT", "/providers", 405, &[json, allow], &refused), Ok(()));
    assert!(with("PUT", "/providers", 405, &[json], &refused).is_err());
    assert!(with("PUT", "/providers", 405, &[json, ("allow", "GET")], &refused).is_err());
    assert!(with("HEAD", "/providers", 405, &[json, allow], &refused).is_err(), "it is taken");
    let later = problem(503, "store_unavailable");
    assert_eq!(with("POST", "/signup", 503, &[json, ("retry-after", "1")], &later), Ok(()));
    assert!(with("POST", "/signup", 503, &[json], &later).is_err());
    assert!(with("POST", "/signup", 503, &[json, ("retry-after", "soon")], &later).is_err());
}

#[test]
fn a_value_that_does_not_fit_its_schema_is_caught() {
    let one = |schema: Value, value: Value| fits(&json!({}), &schema, &value, "it").is_ok();
    for (schema, good, bad) in [
        (json!({ "type": ["string", "null"] }), json!(null), json!(1)),
        (json!({ "type": "integer", "minimum": 1, "maximum": 3 }), json!(3), json!(4)),
        (json!({ "type": "string", "minLength": 1, "maxLength": 2 }), json!("é"), json!("")),
        (json!({ "type": "string", "pattern": "^a$" }), json!("a"), json!("b")),
        (json!({ "type": "string", "format": "date-time" }), json!("2026-01-01T00:00:00Z"), json!("now")),
        (json!({ "enum": ["a", "b"] }), json!("a"), json!("c")),
        (json!({ "required": ["a"] }), json!({ "a": null }), json!({})),
        (json!({ "properties": { "a": { "type": "string" } } }), json!({ "b": 1 }), json!({ "a": 1 })),
        (json!({ "additionalProperties": false }), json!({}), json!({ "a": 1 })),
        (json!({ "additionalProperties": { "type": "string" } }), json!({ "a": "" }), json!({ "a": 1 })),
        (json!({ "uniqueItems": true }), json!(["a", "b"]), json!(["a", "a"])),
        (json!({ "items": { "type": "string" }, "minItems": 1 }), json!(["a"]), json!([1])),
        (json!({ "oneOf": [{ "type": "null" }, { "type": "string" }] }), json!(null), json!(1)),
        (json!({ "oneOf": [{ "type": "string" }, { "enum": ["a"] }] }), json!("b"), json!("a")),
        (json!({ "anyOf": [{ "type": "null" }, { "enum": ["a"] }] }), json!("a"), json!("b")),
        (json!({ "allOf": [{ "type": "string" }, { "enum": ["a"] }] }), json!("a"), json!("b")),
    ] {
        assert!(one(schema.clone(), good.clone()), "{schema} refuses {good}");
        assert!(!one(schema.clone(), bad.clone()), "{schema} takes {bad}");
    }
}
