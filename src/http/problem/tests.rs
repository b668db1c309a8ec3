use super::*;
use crate::domain::{ConnectionId, Id, KeyScope, ReauthorizationReason};
use actix_web::body::MessageBody;

fn shown(refusal: &Refusal) -> String {
    let response = problem(refusal, "r-1");
    let header = |name: &str| {
        let value = response.headers().get(name)?.to_str().ok()?;
        Some(format!("{name}: {value}\n"))
    };
    let headers: String =
        ["retry-after", "allow", "www-authenticate"].into_iter().filter_map(header).collect();
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
    insta::assert_snapshot!(shown(&Refusal::field("end_user", "is missing")), @"");
    insta::assert_snapshot!(shown(&Refusal::request("The body is empty.")), @"");
    insta::assert_snapshot!(shown(&Refusal::MethodNotAllowed { allowed: "GET, HEAD".to_owned() }), @"");
    insta::assert_snapshot!(shown(&Refusal::NotFound { what: "a provider `x`".to_owned() }), @"");
    insta::assert_snapshot!(shown(&Refusal::TooLarge { limit: 65_536 }), @"");
}

#[test]
fn callers_that_may_not() {
    insta::assert_snapshot!(shown(&Refusal::Unauthenticated), @"");
    insta::assert_snapshot!(shown(&Refusal::InsufficientScope { needed: KeyScope::TokensRead }), @"");
    let detail = "This API key may not be used for the provider `x`.".to_owned();
    insta::assert_snapshot!(shown(&Refusal::OutsideKeyLimits { detail }), @"");
    insta::assert_snapshot!(shown(&Refusal::RateLimited { retry_after: Duration::from_millis(1_200) }), @"");
}

#[test]
fn journeys_that_end() {
    let faults = [
        SessionFault::State,
        SessionFault::Cookie,
        SessionFault::Path,
        SessionFault::Issuer,
        SessionFault::Link,
    ];
    let all: Vec<String> = faults.iter().map(|fault| shown(&Refusal::SessionRefused(*fault))).collect();
    insta::assert_snapshot!(all.join("\n"), @"");
    insta::assert_snapshot!(shown(&Refusal::SessionExpired), @"");
    insta::assert_snapshot!(shown(&Refusal::EndUserMismatch), @"");
    insta::assert_snapshot!(shown(&Refusal::Conflict { detail: "Somebody else was first.".to_owned() }), @"");
}

#[test]
fn connections_that_give_no_token() {
    let connection = ConnectionId::parse(&"c".repeat(22));
    let reason = ReauthorizationReason::RefreshOutcomeUnknown;
    insta::assert_snapshot!(shown(&Refusal::ConnectionNotFound), @"");
    insta::assert_snapshot!(shown(&Refusal::ReauthorizationRequired { reason, connection }), @"");
    insta::assert_snapshot!(shown(&Refusal::ReauthorizationRequired { reason, connection: None }), @"");
}

#[test]
fn others_that_fail() {
    let error = || "invalid_client".to_owned();
    insta::assert_snapshot!(shown(&Refusal::IntegrationMisconfigured { error: error() }), @"");
    insta::assert_snapshot!(shown(&Refusal::ProviderRefused { error: error() }), @"");
    insta::assert_snapshot!(shown(&Refusal::ProviderUnavailable { retry_after: Duration::from_secs(7) }), @"");
    insta::assert_snapshot!(shown(&Refusal::StoreUnavailable { retry_after: Duration::ZERO }), @"");
    insta::assert_snapshot!(shown(&Refusal::Internal), @"");
}

#[test]
fn no_answer_asks_for_a_password() {
    let response = problem(&Refusal::Unauthenticated, "r");
    let challenges: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).collect();
    assert!(challenges.iter().all(|challenge| challenge.as_bytes().starts_with(b"Bearer")), "{challenges:?}");
}
