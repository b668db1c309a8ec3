//! Every refusal as a caller sees it.

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
    insta::assert_snapshot!(shown(&Refusal::field("end_user", "is missing")), @r#"
    400
    {"code":"invalid_request","detail":"`end_user` is missing","field":"end_user","title":"The request is not right"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::request("The body is empty.")), @r#"
    400
    {"code":"invalid_request","detail":"The body is empty.","title":"The request is not right"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::MethodNotAllowed { allowed: "GET, HEAD".to_owned() }), @r#"
    405
    allow: GET, HEAD
    {"code":"invalid_request","detail":"This path takes GET, HEAD.","title":"This path does not take that method"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::NotFound { what: "a provider `x`".to_owned() }), @r#"
    404
    {"code":"not_found","detail":"Not found: a provider `x`.","title":"Not found"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::TooLarge { limit: 65_536 }), @r#"
    413
    {"code":"too_large","detail":"A body may have 65536 bytes at most.","title":"The body is too large"}
    "#);
}

#[test]
fn callers_that_may_not() {
    insta::assert_snapshot!(shown(&Refusal::Unauthenticated), @r#"
    401
    www-authenticate: Bearer realm="grantkeep"
    {"code":"unauthenticated","detail":"Send `Authorization: Bearer` with an API key, or Basic with the e-mail address and password of a verified account.","title":"No valid credential"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::InsufficientScope { needed: KeyScope::TokensRead }), @r#"
    403
    {"code":"insufficient_scope","detail":"The key lacks the scope `tokens:read`; make one that has it.","needed_scope":"tokens:read","title":"This key may not do that"}
    "#);
    let detail = "This API key may not be used for the provider `x`.".to_owned();
    insta::assert_snapshot!(shown(&Refusal::OutsideKeyLimits { detail }), @r#"
    403
    {"code":"insufficient_scope","detail":"This API key may not be used for the provider `x`.","title":"This key may not do that"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::RateLimited { retry_after: Duration::from_millis(1_200) }), @r#"
    429
    retry-after: 2
    {"code":"rate_limited","detail":"Wait for as long as Retry-After says.","retry_after":2,"title":"Too many requests"}
    "#);
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
    insta::assert_snapshot!(all.join("\n"), @r#"
    403
    {"code":"session_refused","detail":"The answer belongs to no authorization that is under way: it was used, or is too old.","title":"This browser cannot go on"}
    403
    {"code":"session_refused","detail":"The authorization was opened in another browser: it can only be finished there.","title":"This browser cannot go on"}
    403
    {"code":"session_refused","detail":"The answer came to a path that is not the one it was meant for.","title":"This browser cannot go on"}
    403
    {"code":"session_refused","detail":"The answer does not say that it comes from the provider that was asked.","title":"This browser cannot go on"}
    403
    {"code":"session_refused","detail":"The link is unknown, was used, or is too old.","title":"This browser cannot go on"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::SessionExpired), @r#"
    410
    {"code":"session_expired","detail":"The authorization expired, was used, or was given up: begin anew.","title":"This authorization is over"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::EndUserMismatch), @r#"
    409
    {"code":"end_user_mismatch","detail":"The end user or the code verifier is not the one that the authorization was begun with. It is void: begin anew.","title":"Somebody else began this authorization"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::Conflict { detail: "Somebody else was first.".to_owned() }), @r#"
    409
    {"code":"conflict","detail":"Somebody else was first.","title":"Not possible as things stand"}
    "#);
}

#[test]
fn connections_that_give_no_token() {
    let connection = ConnectionId::parse(&"c".repeat(22));
    let reason = ReauthorizationReason::RefreshOutcomeUnknown;
    insta::assert_snapshot!(shown(&Refusal::ConnectionNotFound), @r#"
    404
    {"code":"connection_not_found","detail":"There is no such connection: send the end user through /authorize-<provider> to make one.","title":"No such connection"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::ReauthorizationRequired { reason, connection }), @r#"
    409
    {"code":"reauthorization_required","connection":"cccccccccccccccccccccc","detail":"The grant can give no more tokens: send the end user through /authorize-<provider> again.","reason":"refresh_outcome_unknown","title":"The end user has to connect again"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::ReauthorizationRequired { reason, connection: None }), @r#"
    409
    {"code":"reauthorization_required","detail":"The grant can give no more tokens: send the end user through /authorize-<provider> again.","reason":"refresh_outcome_unknown","title":"The end user has to connect again"}
    "#);
}

#[test]
fn others_that_fail() {
    let error = || "invalid_client".to_owned();
    insta::assert_snapshot!(shown(&Refusal::IntegrationMisconfigured { error: error() }), @r#"
    422
    {"code":"integration_misconfigured","detail":"The provider answered `invalid_client` to the client id and secret: mend them with PATCH /v1/integrations/<provider>.","provider_error":"invalid_client","title":"The provider does not accept this integration"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::ProviderRefused { error: error() }), @r#"
    502
    {"code":"provider_refused","detail":"The provider answered `invalid_client`.","provider_error":"invalid_client","title":"The provider said no"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::ProviderUnavailable { retry_after: Duration::from_secs(7) }), @r#"
    503
    retry-after: 7
    {"code":"provider_unavailable","detail":"The provider could not be asked, or gave no usable answer. Try again after Retry-After.","retry_after":7,"title":"The provider gives no usable answer"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::RefreshHeld { retry_after: Duration::from_mins(1) }), @r#"
    503
    retry-after: 60
    {"code":"provider_unavailable","detail":"The token has expired, and whoever runs this server has it refresh nothing at this provider for the moment. Nothing is lost: try again after Retry-After.","retry_after":60,"title":"Refreshes are held by the operator"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::StoreUnavailable { retry_after: Duration::ZERO }), @r#"
    503
    retry-after: 1
    {"code":"store_unavailable","detail":"Nothing was changed that an answer has not told you. Try again after Retry-After.","retry_after":1,"title":"The store does not answer"}
    "#);
    insta::assert_snapshot!(shown(&Refusal::Internal), @r#"
    500
    {"code":"internal","detail":"The log has it under the request id.","title":"A fault of ours"}
    "#);
}

#[test]
fn no_answer_asks_for_a_password() {
    let response = problem(&Refusal::Unauthenticated, "r");
    let challenges: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).collect();
    assert!(challenges.iter().all(|challenge| challenge.as_bytes().starts_with(b"Bearer")), "{challenges:?}");
}
