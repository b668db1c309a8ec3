//! Whatever comes, nothing panics, and what is promised about the result holds.

use super::{built_in, response, values, with};
use crate::domain::{Scopes, Ticket, Timestamp};
use crate::wire::{
    AnswerKind, AuthorizeInputs, TokenAnswer, authorize_url, read_callback, read_identity, read_metadata,
    read_token_answer, revocation_outcome,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;
use std::time::Duration;

/// JSON that looks like a token answer from afar.
fn answers() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~]{0,12}".prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        let name = prop_oneof![
            Just("access_token".to_owned()),
            Just("refresh_token".to_owned()),
            Just("expires_in".to_owned()),
            Just("scope".to_owned()),
            Just("token_type".to_owned()),
            Just("error".to_owned()),
            Just("ok".to_owned()),
            Just("authed_user".to_owned()),
            Just("team".to_owned()),
            ".{0,3}",
        ];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(name, inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn promises_hold(answer: &TokenAnswer) {
    match answer {
        TokenAnswer::Granted(tokens) => {
            let token = tokens.access_token.expose();
            assert!(
                !token.is_empty()
                    && token.len() <= 16_384
                    && token.bytes().all(|b| (0x20..0x7f).contains(&b))
            );
            let ten_years = Duration::from_hours(24 * 3650);
            assert!(tokens.expires_in.is_none_or(|life| !life.is_zero() && life <= ten_years));
            assert!(tokens.scopes.as_ref().is_none_or(|scopes| !scopes.is_empty()));
        }
        TokenAnswer::Refused { error, .. } => {
            assert!(
                !error.is_empty() && error.len() <= 64 && error.bytes().all(|b| (0x20..0x7f).contains(&b))
            );
        }
        TokenAnswer::Busy { retry_after, .. } => {
            assert!(retry_after.is_none_or(|wait| wait <= Duration::from_hours(24)));
        }
        TokenAnswer::Unreadable { .. } => {}
    }
}

fn statuses() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), Just(400), Just(401), Just(429), Just(503), 100..600_u16]
}

proptest! {
    #[test]
    fn any_bytes(status in statuses(), kind in "[a-z/-]{0,20}", after in ".{0,12}", body in vec(any::<u8>(), 0..200)) {
        let answer = response(status, &[("content-type", &kind), ("retry-after", &after)], &body);
        for provider in [built_in("slack"), built_in("atlassian")] {
            for kind in [AnswerKind::Code, AnswerKind::Refresh] {
                promises_hold(&read_token_answer(&provider, kind, &answer, Timestamp::from_millis(0)));
            }
            let _ = revocation_outcome(&provider, &answer);
        }
        let _ = read_identity(built_in("slack").identity.as_ref().unwrap(), &answer);
    }

    #[test]
    fn any_json(status in statuses(), body in answers()) {
        let answer = response(status, &[], body.to_string());
        for provider in [built_in("slack"), built_in("google"), with("tokens.bot = { access_token = '/team' }")] {
            for kind in [AnswerKind::Code, AnswerKind::Refresh] {
                promises_hold(&read_token_answer(&provider, kind, &answer, Timestamp::from_millis(0)));
            }
        }
        let atlassian = built_in("atlassian");
        let _ = read_metadata(&atlassian, &atlassian.after_connect[0].metadata, &answer);
    }

    #[test]
    fn any_form(pairs in vec(("(access_token|expires_in|scope|error|.{0,4})", ".{0,12}"), 0..6)) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let answer = response(200, &[("content-type", "application/x-www-form-urlencoded")], body);
        promises_hold(&read_token_answer(&with(""), AnswerKind::Code, &answer, Timestamp::from_millis(0)));
    }

    #[test]
    fn any_callback(pairs in vec(("(code|state|error|iss|realm|.{0,4})", ".{0,12}"), 0..6)) {
        let some = with("callback.capture = ['realm']");
        if let Ok(callback) = read_callback(&some, &pairs) {
            prop_assert!(!callback.state.is_empty());
            prop_assert!(callback.captured.keys().all(|name| name == "realm"));
        }
    }

    #[test]
    fn an_authorize_url_has_every_parameter_once(state in ".{1,12}", id in ".{0,12}", host in ".{0,12}", scopes in ".{0,20}") {
        let some = with("variables.shop = { at = 'authorize' }\nissuer = 'https://{shop}.shops.example.com'");
        let _ = some.check_variables(crate::catalog::AskedAt::Authorize, &values(&[("shop", &host)]));
        let inputs = AuthorizeInputs {
            client_id: &id,
            redirect_uri: "https://v.example/cb",
            scopes: &Scopes::split(&scopes, &[' ']),
            state: &Ticket::new(state.clone()),
            code_challenge: "C",
            values: &values(&[]),
        };
        let url = authorize_url(&some, &inputs).unwrap();
        prop_assert_eq!(url.host_str(), Some("a.example"));
        let mut names: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        prop_assert!(url.query_pairs().any(|(name, value)| name == "state" && value == state));
        let all = names.len();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), all);
    }
}

proptest! {
    #[test]
    fn values_never_move_the_host_or_the_path(x in ".{0,8}", y in ".{0,8}", z in ".{0,8}") {
        let some = with("
            variables = { x = { at = 'authorize' }, y = { at = 'authorize' }, z = {} }
            refresh.url = 'https://{x}.shops.example.com/a/{y}/token?q={z}'
        ");
        let given = values(&[("x", &x), ("y", &y), ("z", &z)]);
        if let Ok(url) = some.fill(some.refresh_url(), &given) {
            let host = url.host_str().unwrap();
            prop_assert!(host.strip_suffix(".shops.example.com").is_some_and(|label| !label.contains('.')));
            prop_assert_eq!(url.path_segments().unwrap().count(), 3);
            prop_assert_eq!(url.query_pairs().count(), 1);
            prop_assert!(url.username().is_empty() && url.port().is_none() && url.fragment().is_none());
        }
    }
}
