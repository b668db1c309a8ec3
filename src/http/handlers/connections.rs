//! Connections: listed, read, deleted.

use super::{Answer, Call, Page, json};
use crate::accounts::Caller;
use crate::domain::{Account, ConnectionId, EndUserId, Id, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::Limit;
use crate::http::cursor;
use crate::vault::{Connection, ConnectionFilter, Slot, Status};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const STATUSES: &[&str] = &["active", "failing", "reauthorization_required", "deleting"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    end_user: Option<EndUserId>,
    provider: Option<ProviderId>,
    status: Option<String>,
    account: Option<Account>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct IdentityAnswer<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
}

/// A connection as tenants see it: everything but its tokens.
#[derive(Serialize)]
pub(super) struct ConnectionAnswer<'a> {
    id: &'a ConnectionId,
    provider: &'a ProviderId,
    end_user: &'a EndUserId,
    account: &'a Account,
    status: &'static str,
    reason: Option<&'static str>,
    generation: u64,
    token_type: &'a str,
    expires_at: Option<Timestamp>,
    scopes: &'a Scopes,
    missing_scopes: Scopes,
    client_id: &'a str,
    metadata: &'a BTreeMap<String, String>,
    identity: IdentityAnswer<'a>,
    created_at: Timestamp,
    connected_at: Timestamp,
    refreshed_at: Option<Timestamp>,
    last_error: Option<&'a str>,
    retry_at: Option<Timestamp>,
}

impl<'a> ConnectionAnswer<'a> {
    pub(super) fn of(connection: &'a Connection) -> Self {
        let reason = match connection.status {
            Status::ReauthorizationRequired(reason) => Some(reason.as_str()),
            Status::Active | Status::Failing | Status::Deleting => None,
        };
        let identity = &connection.identity;
        Self {
            id: &connection.id,
            provider: &connection.slot.provider,
            end_user: &connection.slot.end_user,
            account: &connection.slot.account,
            status: connection.status.word(),
            reason,
            generation: connection.generation,
            token_type: &connection.token_type,
            expires_at: connection.expires_at,
            scopes: &connection.scopes,
            missing_scopes: connection.requested_scopes.missing_from(&connection.scopes),
            client_id: &connection.client_id,
            metadata: &connection.metadata,
            identity: IdentityAnswer { id: identity.id.as_deref(), name: identity.name.as_deref() },
            created_at: connection.created_at,
            connected_at: connection.connected_at,
            refreshed_at: connection.refreshed_at,
            last_error: connection.trouble.last_error.as_deref(),
            retry_at: connection.trouble.retry_at,
        }
    }
}

#[derive(Serialize)]
struct DeletedAnswer {
    revocation: &'static str,
}

/// `GET /v1/connections`. A page may have fewer items than its limit and go on all the same.
pub(super) async fn list(caller: Caller, call: Call) -> Answer {
    let ListQuery { end_user, provider, status, account, limit: Limit(limit), cursor } = call.query()?;
    if let Some(provider) = &provider {
        caller.may_use(provider)?;
    }
    if status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(Refusal::field("status", format!("must be one of {}", STATUSES.join(", "))));
    }
    let after = cursor.as_deref().map(cursor::position).transpose()?;
    let filter = ConnectionFilter { end_user, provider };
    let broker = call.broker();
    let (found, next) = broker
        .list_connections(caller.authority(), &filter, status.as_deref(), after.as_deref(), limit)
        .await?;
    let wanted = |slot: &Slot| {
        caller.may_use(&slot.provider).is_ok()
            && account.as_ref().is_none_or(|account| *account == slot.account)
    };
    let visible = found.iter().filter(|connection| wanted(&connection.slot));
    let items = visible.map(ConnectionAnswer::of).collect();
    json(StatusCode::OK, &Page { items, next_cursor: next.as_deref().map(cursor::of) })
}

/// The connection in the path, if the caller's key is for its provider.
pub(super) async fn find(caller: &Caller, call: &Call) -> Result<Connection, Refusal> {
    let id = ConnectionId::parse(call.path("id")).ok_or(Refusal::ConnectionNotFound)?;
    let connection = call.broker().connection(caller.authority(), &id).await?;
    caller.may_use(&connection.slot.provider)?;
    Ok(connection)
}

/// `GET /v1/connections/{id}`.
pub(super) async fn show(caller: Caller, call: Call) -> Answer {
    json(StatusCode::OK, &ConnectionAnswer::of(&find(&caller, &call).await?))
}

/// `DELETE /v1/connections/{id}`.
pub(super) async fn delete(caller: Caller, call: Call) -> Answer {
    let connection = find(&caller, &call).await?;
    let revocation = call.broker().delete_connection(caller.authority(), &connection.id).await?;
    json(StatusCode::OK, &DeletedAnswer { revocation: revocation.as_str() })
}
