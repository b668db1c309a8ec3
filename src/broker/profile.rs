//! After a connect: who was connected, and what else the provider file wants to know.
//!
//! The grant is there by then and cannot be had again, so a question that fails costs its answer and never the grant.

use super::call::call;
use crate::catalog::{Provider, Template, Values};
use crate::domain::AccessToken;
use crate::ports::{OutboundResponse, Upstream, UpstreamError};
use crate::vault::{Identity, NewGrant};
use crate::wire;

/// Fills in the identity and the metadata of a new grant.
pub(super) async fn learn(
    upstream: &dyn Upstream,
    provider: &Provider,
    grant: &mut NewGrant,
    mut values: Values,
) {
    let token = grant.tokens.access.clone();
    for question in &provider.after_connect {
        let Some(answer) = ask(upstream, provider, &question.url, (&token, &values)).await else { continue };
        match wire::read_metadata(provider, &question.metadata, &answer) {
            Ok(found) => {
                values.extend(found.clone());
                grant.metadata.extend(found);
            }
            Err(fault) => {
                tracing::warn!(provider = %provider.id, %fault, "what came after a connect is no use");
            }
        }
    }
    let Some(rules) = &provider.identity else { return };
    let Some(answer) = ask(upstream, provider, &rules.url, (&token, &values)).await else { return };
    match wire::read_identity(rules, &answer) {
        Ok(found) => grant.identity = Identity { id: Some(found.id), name: found.name },
        Err(fault) => tracing::warn!(provider = %provider.id, %fault, "the identity could not be read"),
    }
}

/// One GET, made again once: it changes nothing at the provider.
async fn ask(
    upstream: &dyn Upstream,
    provider: &Provider,
    url: &Template,
    (token, values): (&AccessToken, &Values),
) -> Option<OutboundResponse> {
    let request = wire::bearer_get(provider, url, token, values)
        .inspect_err(|error| tracing::warn!(provider = %provider.id, %error, "a question could not be built"))
        .ok()?;
    let transient = |answer: &Result<OutboundResponse, UpstreamError>| match answer {
        Ok(response) => response.status >= 500,
        Err(_) => true,
    };
    let mut answer = call(upstream, &provider.id, request.clone()).await;
    if transient(&answer) {
        answer = call(upstream, &provider.id, request).await;
    }
    answer
        .inspect_err(|error| tracing::warn!(provider = %provider.id, %error, "a question was not answered"))
        .ok()
}
