//! Any bytes as a token answer: nothing panics, and what is read stands in the body.

#![no_main]

use grantkeep::catalog::{BUILT_IN, Catalog};
use grantkeep::domain::Timestamp;
use grantkeep::ports::OutboundResponse;
use grantkeep::wire::{AnswerKind, TokenAnswer, read_token_answer};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::load(BUILT_IN, &[], true).expect("the built-in files are right"));

// The first byte picks the provider, the second the status and the kind; the rest is the body.
fuzz_target!(|bytes: &[u8]| {
    let [provider, pick, body @ ..] = bytes else { return };
    let providers: Vec<_> = CATALOG.iter().collect();
    let provider = providers[usize::from(*provider) % providers.len()];
    let status = [200, 201, 400, 401, 403, 429, 500, 302][usize::from(*pick >> 1) % 8];
    let kind = if pick & 1 == 0 { AnswerKind::Code } else { AnswerKind::Refresh };
    let response = OutboundResponse { status, headers: Vec::new(), body: body.to_vec() };
    let answer = read_token_answer(provider, kind, &response, Timestamp::from_millis(0));
    match answer {
        TokenAnswer::Granted(tokens) => {
            assert!((200..300).contains(&status), "a grant with {status}");
            let token = tokens.access_token.expose();
            assert!(!token.is_empty() && token.bytes().all(|b| (0x20..0x7f).contains(&b)));
            assert!(stands_in(body, token), "a token that nobody sent");
            if let Some(refresh) = &tokens.refresh_token {
                assert!(stands_in(body, refresh.expose()), "a refresh token that nobody sent");
            }
        }
        TokenAnswer::Refused { error, .. } => assert!((1..=64).contains(&error.len())),
        TokenAnswer::Busy { .. } | TokenAnswer::Unreadable { .. } => {}
    }
});

/// True where the whole text is a value of the body: a string of its JSON, or of its form.
fn stands_in(body: &[u8], text: &str) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => is_in(&value, text),
        // A form's values are decoded; that each of its characters came from somewhere is enough here.
        Err(_) => text.len() <= body.len(),
    }
}

fn is_in(value: &serde_json::Value, text: &str) -> bool {
    match value {
        serde_json::Value::String(found) => found == text,
        serde_json::Value::Array(items) => items.iter().any(|item| is_in(item, text)),
        serde_json::Value::Object(members) => members.values().any(|member| is_in(member, text)),
        _ => false,
    }
}
