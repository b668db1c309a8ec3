//! What became of a session.

use super::{Answer, Call, Description, Tag, json};
use crate::accounts::Caller;
use crate::domain::{Account, ConnectionId, EndUserId, ProviderId, Refusal, SessionId, Timestamp};
use crate::vault::{Session, SessionState};
use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

/// A session as its tenant sees it. Nothing in it opens or completes it.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
struct SessionAnswer<'a> {
    /// Its public id.
    session: &'a SessionId,
    /// At which provider.
    provider: &'a ProviderId,
    /// Whose.
    end_user: &'a EndUserId,
    /// Which of the end user's accounts; empty: the one without a label.
    account: &'a Account,
    /// `pending`, `returned`, `exchanging`, `completed`, `denied`, `failed` or `expired`.
    status: &'static str,
    /// What it became, where it is completed.
    #[schema(required)]
    connection: Option<&'a ConnectionId>,
    /// The problem's code, where it failed.
    #[schema(required)]
    code: Option<&'a str>,
    /// Until when it can be completed.
    expires_at: Timestamp,
}

impl<'a> SessionAnswer<'a> {
    fn of(session: &'a Session, status: &'static str) -> Self {
        let (connection, code) = match &session.state {
            SessionState::Completed(connection) => (Some(connection), None),
            SessionState::Failed(code) => (None, Some(code.as_str())),
            SessionState::Pending
            | SessionState::Returned
            | SessionState::Exchanging
            | SessionState::Denied => (None, None),
        };
        let slot = &session.made.slot;
        Self {
            session: &session.id,
            provider: &slot.provider,
            end_user: &slot.end_user,
            account: &slot.account,
            status,
            connection,
            code,
            expires_at: session.made.expires_at,
        }
    }
}

/// `GET /v1/sessions/{id}`.
pub(super) async fn show(caller: Caller, call: Call) -> Answer {
    let (session, status) =
        call.broker().session(caller.authority(), &call.id("a session of that id")?).await?;
    caller.may_use(&session.made.slot.provider)?;
    json(StatusCode::OK, &SessionAnswer::of(&session, status))
}

pub(super) fn show_described() -> Description {
    Description::new(Tag::Connecting, "Read what became of a session")
        .path::<SessionId>("id", "Its public id.")
        .answers::<SessionAnswer>(200, "The session.")
        .refuses([Refusal::NotFound { what: "a session of that id".to_owned() }])
}
