//! OAuth on the wire, seen from outside: requests as they would be sent, answers as providers give them.

mod corpus;
mod golden;
mod golden_more;
mod odd_answers;
mod odd_providers;
mod properties;

use super::{AnswerKind, ClientCredentials, RefusalClass, TokenAnswer, read_token_answer};
use crate::catalog::{BUILT_IN, BuiltIn, Catalog, Provider, Values};
use crate::domain::{ClientSecret, ProviderId, Timestamp};
use crate::ports::{OutboundRequest, OutboundResponse};
use std::fmt::Write;
use std::sync::Arc;

fn built_in(id: &str) -> Arc<Provider> {
    let catalog = Catalog::load(BUILT_IN, &[], true).unwrap();
    Arc::clone(catalog.get(&ProviderId::parse(id).unwrap()).unwrap())
}

/// A provider with the usual URLs and `more` in its file.
fn with(more: &str) -> Arc<Provider> {
    let text = format!(
        "name = 'Some'\nprotocol = 'oauth2'\nauthorize.url = 'https://a.example/authorize'\ntoken.url = 'https://a.example/token'\n{more}"
    );
    let catalog = Catalog::load(&[BuiltIn { id: "some", text: text.leak() }], &[], false);
    let catalog = catalog.unwrap_or_else(|faults| panic!("{faults}"));
    Arc::clone(catalog.iter().next().unwrap())
}

fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A client whose id and secret show every way of encoding them.
fn client(secret: &ClientSecret) -> ClientCredentials<'_> {
    ClientCredentials { client_id: "id:1", client_secret: Some(secret) }
}

fn secret() -> ClientSecret {
    ClientSecret::new("s ec/ret")
}

/// The request as it would be sent.
fn shown(request: &OutboundRequest) -> String {
    let mut text = format!("{:?} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        writeln!(text, "{name}: {}", value.expose()).unwrap();
    }
    if let Some(body) = &request.body {
        writeln!(text, "content-type: {}\n\n{}", body.content_type, body.text.expose()).unwrap();
    }
    text
}

fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> OutboundResponse {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    OutboundResponse { status, headers, body: body.as_ref().to_vec() }
}

fn read(provider: &Provider, kind: AnswerKind, response: &OutboundResponse) -> String {
    told(&read_token_answer(provider, kind, response, Timestamp::from_millis(0)))
}

/// An answer in one line, secrets shown.
fn told(answer: &TokenAnswer) -> String {
    match answer {
        TokenAnswer::Granted(tokens) => {
            let mut text = format!("granted {} {}", tokens.token_type, tokens.access_token.expose());
            let mut add = |name: &str, value: Option<String>| {
                if let Some(value) = value {
                    write!(text, " {name}={value}").unwrap();
                }
            };
            add("refresh", tokens.refresh_token.as_ref().map(|token| token.expose().to_owned()));
            add("life", tokens.expires_in.map(|life| life.as_secs().to_string()));
            add("refresh_life", tokens.refresh_expires_in.map(|life| life.as_secs().to_string()));
            add("scopes", tokens.scopes.as_ref().map(|scopes| scopes.join("+")));
            for (name, value) in &tokens.metadata {
                add(name, Some(value.clone()));
            }
            for (name, more) in &tokens.more {
                let refresh = more.refresh_token.as_ref().map_or("none", |token| token.expose());
                let life = more.expires_in.map_or(0, |life| life.as_secs());
                let scopes = more.scopes.as_ref().map(|scopes| scopes.join("+")).unwrap_or_default();
                add(
                    name,
                    Some(format!(
                        "({} refresh={refresh} life={life} scopes={scopes})",
                        more.access_token.expose()
                    )),
                );
            }
            text
        }
        TokenAnswer::Refused { class, error, status } => {
            let class = match class {
                RefusalClass::InvalidGrant => "grant",
                RefusalClass::ClientFault => "client",
                RefusalClass::Other => "other",
            };
            format!("refused {class} {error} {status}")
        }
        TokenAnswer::Busy { retry_after, status } => {
            let after = retry_after.map_or("unsaid".to_owned(), |wait| wait.as_secs().to_string());
            format!("busy {status} after {after}")
        }
        TokenAnswer::Unreadable { reason, status } => format!("unreadable {status}: {reason}"),
    }
}
