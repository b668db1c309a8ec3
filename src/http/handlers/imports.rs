//! Connections that are brought along, and refreshes that are ordered.

use super::connections::{ConnectionAnswer, find};
use super::{Answer, Call, Nothing, json};
use crate::accounts::Caller;
use crate::broker::Import;
use crate::domain::{AccessToken, Account, EndUserId, ProviderId, RefreshToken, Scopes};
use crate::http::body::Seconds;
use crate::vault::Slot;
use actix_web::http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportFields {
    /// One that the tenant has enabled.
    provider: ProviderId,
    /// Whose grant it is.
    end_user: EndUserId,
    /// Which of their accounts; empty if absent.
    #[serde(default)]
    account: Account,
    /// May have expired.
    access_token: AccessToken,
    /// Where there is one.
    refresh_token: Option<RefreshToken>,
    /// Seconds that the access token still lives; 0 where it has expired.
    expires_in: Option<Seconds>,
    /// What was granted; absent: the integration's.
    scopes: Option<Scopes>,
    /// Those that the provider asks at `authorize`.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// What the provider told of the account.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Kept only if the provider refreshes it.
    #[serde(default)]
    check: bool,
}

/// `POST /v1/connections`: a grant that was made elsewhere.
pub(super) async fn import(caller: Caller, call: Call) -> Answer {
    let fields: ImportFields = call.fields()?;
    caller.may_use(&fields.provider)?;
    let request = Import {
        slot: Slot { provider: fields.provider, end_user: fields.end_user, account: fields.account },
        access_token: fields.access_token,
        refresh_token: fields.refresh_token,
        expires_in: fields.expires_in.map(|seconds| seconds.0),
        scopes: fields.scopes,
        variables: fields.variables,
        metadata: fields.metadata,
        check: fields.check,
    };
    let connection = call.broker().import(caller.authority(), request).await?;
    json(StatusCode::CREATED, &ConnectionAnswer::of(&connection))
}

/// `POST /v1/connections/{id}/refresh`: the connection afterwards, and never a token.
pub(super) async fn refresh(caller: Caller, call: Call) -> Answer {
    let Nothing {} = call.fields_if_any()?;
    let connection = find(&caller, &call).await?;
    let refreshed = call.broker().refresh_connection(caller.authority(), &connection).await?;
    json(StatusCode::OK, &ConnectionAnswer::of(&refreshed))
}
