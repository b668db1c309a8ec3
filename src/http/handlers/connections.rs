//! Connections: listed, read, deleted.

use super::{Answer, Call, Description, Page, Tag, json, standing};
use crate::accounts::Caller;
use crate::domain::{Account, ConnectionId, EndUserId, Id, ProviderId, Refusal, Scopes, Timestamp};
use crate::http::body::Limit;
use crate::http::cursor;
use crate::http::openapi::{ConnectionStatus, ReasonWord, RevocationWord};
use crate::vault::{Connection, ConnectionFilter, Slot, Status};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

const STATUSES: &[&str] = &["active", "failing", "reauthorization_required", "deleting"];

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only those of this end user.
    end_user: Option<EndUserId>,
    /// Only those at this provider.
    provider: Option<ProviderId>,
    /// Only those that stand so.
    #[schema(value_type = Option<ConnectionStatus>)]
    status: Option<String>,
    /// Only those of this label.
    account: Option<Account>,
    /// How many items a page has at most.
    #[serde(default)]
    limit: Limit,
    /// The `next_cursor` of an earlier answer.
    #[schema(pattern = "^[A-Za-z0-9_-]+$")]
    cursor: Option<String>,
}

/// Who was connected, as the provider names them, where its file asks.
#[derive(Serialize, ToSchema)]
#[schema(as = Identity)]
struct IdentityAnswer<'a> {
    /// The provider's id of them.
    #[schema(required)]
    id: Option<&'a str>,
    /// The provider's name of them.
    #[schema(required)]
    name: Option<&'a str>,
}

/// A connection as tenants see it: everything but its tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = Connection)]
pub(super) struct ConnectionAnswer<'a> {
    /// Its id; stays when the end user connects again.
    id: &'a ConnectionId,
    /// At which provider.
    provider: &'a ProviderId,
    /// Whose.
    end_user: &'a EndUserId,
    /// Which of the end user's accounts; empty: the one without a label.
    account: &'a Account,
    /// Where it stands.
    #[schema(value_type = ConnectionStatus)]
    status: &'static str,
    /// Why the end user has to connect again, where they have to.
    #[schema(value_type = Option<ReasonWord>, required)]
    reason: Option<&'static str>,
    /// Grows by one at every new token.
    generation: u64,
    /// How the token is sent, such as `Bearer`.
    token_type: &'a str,
    /// When the access token ends; null where the provider does not say.
    #[schema(required)]
    expires_at: Option<Timestamp>,
    /// What was granted.
    scopes: &'a Scopes,
    /// What was asked and not granted.
    missing_scopes: Scopes,
    /// Your client id at the provider, under which it was granted.
    client_id: &'a str,
    /// What the provider told of the account, by name.
    metadata: &'a BTreeMap<String, String>,
    /// Who was connected.
    identity: IdentityAnswer<'a>,
    /// When it was first made.
    created_at: Timestamp,
    /// When the end user last agreed.
    connected_at: Timestamp,
    /// When its token was last refreshed.
    #[schema(required)]
    refreshed_at: Option<Timestamp>,
    /// What went wrong last: the provider's own code, or a word of ours.
    #[schema(required)]
    last_error: Option<&'a str>,
    /// When that was.
    #[schema(required)]
    last_error_at: Option<Timestamp>,
    /// Refreshes that failed since the last one that did not.
    failures: u32,
    /// Not refreshed before this time.
    #[schema(required)]
    retry_at: Option<Timestamp>,
    /// When the server comes back to it by itself.
    #[schema(required)]
    next_refresh_at: Option<Timestamp>,
    /// When the end user has to connect again, whatever is done; null where nobody knows.
    #[schema(required)]
    reauthorize_by: Option<Timestamp>,
    /// Where it stands and what to do, in plain words. For people: the words may change.
    summary: String,
}

impl<'a> ConnectionAnswer<'a> {
    pub(super) fn of(connection: &'a Connection, now: Timestamp) -> Self {
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
            last_error_at: connection.trouble.last_error_at,
            failures: connection.trouble.failures,
            retry_at: connection.trouble.retry_at,
            next_refresh_at: connection.plan.due_at,
            reauthorize_by: connection.plan.reauthorize_by,
            summary: standing::of(connection, now),
        }
    }
}

/// What became of a grant.
#[derive(Serialize, ToSchema)]
#[schema(as = Deleted)]
struct DeletedAnswer {
    /// What became of it at the provider. Here it is forgotten in each case.
    #[schema(value_type = RevocationWord)]
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
    let items = visible.map(|connection| ConnectionAnswer::of(connection, call.now())).collect();
    json(StatusCode::OK, &Page { items, next_cursor: next.as_deref().map(cursor::of) })
}

pub(super) fn list_described() -> Description {
    Description::new(Tag::Connections, "List connections")
        .detail("A page may hold fewer items than its limit and still go on. A key limited to providers sees theirs.")
        .query::<ListQuery>()
        .lists::<ConnectionAnswer>("A page of connections.")
        .refuses([cursor::not_one()])
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
    json(StatusCode::OK, &ConnectionAnswer::of(&find(&caller, &call).await?, call.now()))
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::Connections, "Read a connection")
        .path::<ConnectionId>("id", "Which one.")
        .answers::<ConnectionAnswer>(200, "The connection.")
        .refuses([Refusal::ConnectionNotFound])
}

/// `DELETE /v1/connections/{id}`.
pub(super) async fn delete(caller: Caller, call: Call) -> Answer {
    let connection = find(&caller, &call).await?;
    let revocation = call.broker().delete_connection(caller.authority(), &connection.id).await?;
    json(StatusCode::OK, &DeletedAnswer { revocation: revocation.as_str() })
}

pub(super) fn delete_described() -> Description {
    Description::new(Tag::Connections, "Delete a connection and end its grant")
        .detail("From this call on no token comes out of it. A call that was cut short may be made again.")
        .path::<ConnectionId>("id", "Which one.")
        .answers::<DeletedAnswer>(200, "It is forgotten here.")
        .refuses([Refusal::ConnectionNotFound])
}
