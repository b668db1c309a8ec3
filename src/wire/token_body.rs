//! Reading a token answer: every oddity seen in the wild has one meaning here, and none of them panics.

use super::error_code::{self, Meaning, RefusalClass};
use super::profile::{self, ProfileFault};
use super::retry_after;
use super::token_response::{AnswerKind, FurtherTokens, TokenAnswer, TokenSet};
use crate::catalog::{FurtherToken, Pointer, Provider, ResponsePointers};
use crate::domain::{AccessToken, RefreshToken, Scopes, Timestamp};
use crate::ports::OutboundResponse;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than any token seen; what is longer would not fit into a header.
const LONGEST_TOKEN: usize = 16 * 1024;
/// Ten years, for providers that say "never" with a large number.
const LONGEST_LIFE: f64 = 315_360_000.0;

type Unreadable = &'static str;

pub(super) fn read(
    provider: &Provider,
    kind: AnswerKind,
    response: &OutboundResponse,
    now: Timestamp,
) -> TokenAnswer {
    let status = response.status;
    let busy = || TokenAnswer::Busy {
        retry_after: response
            .header("retry-after")
            .and_then(|value| retry_after::parse(value, response.header("date"), now)),
        status,
    };
    let pointers = match kind {
        AnswerKind::Code => &provider.token.response,
        AnswerKind::Refresh => &provider.refresh.response,
    };
    let body = match status {
        429 | 500..=599 => return busy(),
        200..=299 | 400..=499 => parse(response),
        // Redirects are not followed: the next host would be sent the secret.
        _ => return TokenAnswer::Unreadable { reason: "neither a success nor an error", status },
    };
    let code = body.as_ref().and_then(|body| error_code_of(body, pointers));
    match code.as_deref().map(error_code::meaning) {
        Some(Meaning::Later) => return busy(),
        Some(Meaning::Refusal(class)) => {
            return TokenAnswer::Refused { class, error: code.unwrap_or_default(), status };
        }
        None if status >= 400 => {
            return TokenAnswer::Refused {
                class: RefusalClass::Other,
                error: format!("http_{status}"),
                status,
            };
        }
        None => {}
    }
    let granted =
        body.ok_or("neither JSON nor form-encoded").and_then(|body| granted(provider, kind, pointers, &body));
    match granted {
        Ok(tokens) => TokenAnswer::Granted(Box::new(tokens)),
        Err(reason) => TokenAnswer::Unreadable { reason, status },
    }
}

fn granted(
    provider: &Provider,
    kind: AnswerKind,
    pointers: &ResponsePointers,
    body: &Value,
) -> Result<TokenSet, Unreadable> {
    if pointers.ok.as_ref().is_some_and(|ok| !is_true(at(body, Some(ok)))) {
        return Err("it does not say that it is a success");
    }
    let further = match kind {
        AnswerKind::Refresh if provider.refresh.own_response => None,
        _ => Some(&provider.tokens),
    };
    let separator = pointers.scope_separator;
    let mut more = BTreeMap::new();
    for (name, pointers) in further.into_iter().flatten() {
        if let Some(tokens) = further_token(pointers, body, separator)? {
            more.insert(name.clone(), tokens);
        }
    }
    let metadata = match profile::metadata(&provider.hosts, &pointers.metadata, body) {
        Ok(metadata) => metadata,
        Err(ProfileFault::Host(_)) if kind == AnswerKind::Code => {
            return Err("it names a host outside the file's suffixes");
        }
        // A refresh keeps what the connect found: a spent refresh token must not be lost over a host.
        Err(_) => BTreeMap::new(),
    };
    let token_type =
        at(body, pointers.token_type.as_ref()).and_then(Value::as_str).and_then(error_code::sanitized);
    let refresh_token = token(at(body, pointers.refresh_token.as_ref()))?.map(RefreshToken::new);
    let unnamed = pointers.refresh_scope.as_ref().filter(|_| refresh_token.is_some());
    Ok(TokenSet {
        access_token: token(at(body, Some(&pointers.access_token)))?
            .map(AccessToken::new)
            .ok_or("it has no access token")?,
        refresh_token,
        token_type: token_type.unwrap_or_else(|| "Bearer".to_owned()),
        expires_in: lifetime(at(body, pointers.expires_in.as_ref())),
        refresh_expires_in: lifetime(at(body, pointers.refresh_expires_in.as_ref())),
        scopes: scopes(at(body, pointers.scope.as_ref()), separator)
            .map(|named| named.iter().chain(unnamed.map(String::as_str)).collect()),
        metadata,
        more,
    })
}

fn further_token(
    pointers: &FurtherToken,
    body: &Value,
    separator: char,
) -> Result<Option<FurtherTokens>, Unreadable> {
    let Some(access_token) = token(at(body, Some(&pointers.access_token)))? else { return Ok(None) };
    Ok(Some(FurtherTokens {
        access_token: AccessToken::new(access_token),
        refresh_token: token(at(body, pointers.refresh_token.as_ref()))?.map(RefreshToken::new),
        expires_in: lifetime(at(body, pointers.expires_in.as_ref())),
        scopes: scopes(at(body, pointers.scope.as_ref()), separator),
    }))
}

/// JSON, or a form-encoded body as a flat object. A byte order mark is forgiven; of a repeated key the last counts.
fn parse(response: &OutboundResponse) -> Option<Value> {
    let text = response.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&response.body);
    if let Ok(value) = serde_json::from_slice::<Value>(text) {
        return value.is_object().then_some(value);
    }
    let media_type = response.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let text = std::str::from_utf8(text).ok()?.trim();
    // Some send forms as text/plain or text/html, so the look of the body decides; JSON cut short is no form.
    let form = text.contains('=') && !text.contains(|c: char| c.is_whitespace() || "<>{}\"".contains(c));
    (form && !media_type.starts_with("application/json")).then(|| {
        form_urlencoded::parse(text.as_bytes())
            .into_owned()
            .map(|(name, value)| (name, Value::String(value)))
            .collect()
    })
}

fn at<'a>(body: &'a Value, pointer: Option<&Pointer>) -> Option<&'a Value> {
    body.pointer(pointer?.as_str()).filter(|value| !value.is_null())
}

/// Also as text: form-encoded bodies have nothing else.
fn is_true(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_bool() == Some(true) || value.as_str() == Some("true"))
}

/// The provider's code where the answer is a refusal, whatever its status.
fn error_code_of(body: &Value, pointers: &ResponsePointers) -> Option<String> {
    let says_no = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    };
    if let Some(error) = at(body, pointers.error.as_ref()).filter(|error| says_no(error)) {
        return Some(code_in(error).unwrap_or_else(|| "unnamed".to_owned()));
    }
    let not_ok = at(body, pointers.ok.as_ref())
        .is_some_and(|ok| ok.as_bool() == Some(false) || ok.as_str() == Some("false"));
    not_ok.then(|| "not_ok".to_owned())
}

/// Some put an object where the code should be.
fn code_in(error: &Value) -> Option<String> {
    match error {
        Value::String(code) => error_code::sanitized(code),
        Value::Number(code) => error_code::sanitized(&code.to_string()),
        Value::Object(inner) => ["error", "code", "type", "status"]
            .into_iter()
            .find_map(|name| inner.get(name).filter(|value| !value.is_object()).and_then(code_in)),
        _ => None,
    }
}

/// A token, `None` where there is none. RFC 6749 appendix A.12: visible ASCII and spaces.
fn token(value: Option<&Value>) -> Result<Option<String>, Unreadable> {
    match value {
        None | Some(Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() > LONGEST_TOKEN => Err("a token is longer than 16 KiB"),
        Some(Value::String(text)) if text.bytes().all(|b| (0x20..=0x7e).contains(&b)) => {
            Ok(Some(text.clone()))
        }
        Some(Value::String(_)) => Err("a token holds characters that no token may hold"),
        Some(_) => Err("a token is not a string"),
    }
}

/// Seconds, as a number or as text. Zero, less, and what is no number say nothing that could be relied on.
fn lifetime(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        _ => return None,
    };
    // NaN fails the comparison; min comes before the conversion, so that it cannot overflow.
    (seconds >= 1.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_LIFE).floor()))
}

/// A string split at the provider's separator and at spaces, or an array. An empty one says nothing.
fn scopes(value: Option<&Value>, separator: char) -> Option<Scopes> {
    let scopes: Scopes = match value? {
        Value::String(text) => Scopes::split(text, &[' ', '\t', '\r', '\n', separator]),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    (!scopes.is_empty()).then_some(scopes)
}
