//! Connections that are brought along, and refreshes that are ordered.

use super::connections::{ConnectionAnswer, find};
use super::{Answer, Call, Description, Nothing, Tag, json};
use crate::accounts::Caller;
use crate::broker::Import;
use crate::domain::{
    AccessToken, Account, ConnectionId, EndUserId, ProviderId, ReauthorizationReason, RefreshToken, Refusal,
    Scopes,
};
use crate::http::body::Seconds;
use crate::http::openapi::GivenScopes;
use crate::vault::Slot;
use actix_web::http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// A grant that was made elsewhere.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImportFields {
    /// One that you have enabled, with the client id that the grant was made under.
    provider: ProviderId,
    /// Whose grant it is.
    end_user: EndUserId,
    /// Which of their accounts; absent: the one without a label.
    #[serde(default)]
    account: Account,
    /// As the provider gave it; it may have expired.
    access_token: AccessToken,
    /// As the provider gave it; absent: the access token works until it expires.
    refresh_token: Option<RefreshToken>,
    /// Seconds that the access token still lives; 0 where it has expired.
    expires_in: Option<Seconds>,
    /// What was granted; absent: the integration's.
    #[schema(value_type = Option<GivenScopes>)]
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
    json(StatusCode::CREATED, &ConnectionAnswer::of(&connection, call.now()))
}

/// `POST /v1/connections/{id}/refresh`: the connection afterwards, and never a token.
pub(super) async fn refresh(caller: Caller, call: Call) -> Answer {
    let Nothing {} = call.fields_if_any()?;
    let connection = find(&caller, &call).await?;
    let refreshed = call.broker().refresh_connection(caller.authority(), &connection).await?;
    json(StatusCode::OK, &ConnectionAnswer::of(&refreshed, call.now()))
}

/// What asking the provider may come to.
fn of_the_provider() -> [Refusal; 4] {
    let reason = ReauthorizationReason::Revoked;
    [
        Refusal::ReauthorizationRequired { reason, connection: None },
        Refusal::IntegrationMisconfigured { error: "invalid_client".to_owned() },
        Refusal::ProviderRefused { error: "access_denied".to_owned() },
        Refusal::ProviderUnavailable { retry_after: Duration::from_secs(5) },
    ]
}

pub(super) fn import_described() -> Description {
    Description::new(Tag::Connections, "Bring a grant along that was made elsewhere")
        .body::<ImportFields>()
        .answers::<ConnectionAnswer>(201, "The connection.")
        .refuses([
            Refusal::field("end_user", "is missing"),
            Refusal::NotFound { what: "an integration of that provider".to_owned() },
            Refusal::Conflict { detail: "There is a connection of that name.".to_owned() },
        ])
        .refuses(of_the_provider())
}

pub(super) fn refresh_described() -> Description {
    Description::new(Tag::Connections, "Refresh a connection now")
        .detail("The connection afterwards, and never a token.")
        .path::<ConnectionId>("id", "Which one.")
        .body_if_any::<Nothing>()
        .answers::<ConnectionAnswer>(200, "The connection.")
        .refuses([
            Refusal::ConnectionNotFound,
            Refusal::Conflict { detail: "There is no refresh token.".to_owned() },
        ])
        .refuses(of_the_provider())
}
