use super::*;
use crate::domain::{ConnectionId, Id, KeyScope, ReauthorizationReason};
use actix_web::body::MessageBody;

fn shown(refusal: &Refusal) -> String {
    let response = problem(refusal, "r-1");
    let header = |name: &str| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some(format!("{name}: {value}\n"))
    };
    let headers: String = ["retry-after", "allow", "www-authenticate"].into_iter().filter_map(header).collect();
    let status = response.status().as_u16();
    let body = response.into_body().try_into_bytes().unwrap();
    let members: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(members["status"], status);
    assert_eq!(members["type"], "about:blank");
    assert_eq!(members["request_id"], "r-1");
    let mut members = members.as_object().unwrap().clone();
    for common in ["type", "status", "request_id"] {
        members.remove(common);
    }
    format!("{status}\n{headers}{}", serde_json::Value::Object(members))
}

#[test]
fn requests_that_are_wrong() {
