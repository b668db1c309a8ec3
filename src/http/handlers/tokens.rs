//! The hot path: one question, one read, one answer.

use super::{Answer, Call, json};
use crate::accounts::Authenticated;
use crate::broker::{Handout, Wish};
use crate::domain::{Account, ConnectionId, EndUserId, ProviderId, Scopes, Timestamp};
use crate::http::body::Seconds;
use crate::vault::Slot;
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFields {
    provider: ProviderId,
    end_user: EndUserId,
    #[serde(default)]
    account: Account,
    token: Option<String>,
    min_ttl: Option<Seconds>,
    #[serde(default)]
    force_refresh: bool,
}

#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_at: Option<Timestamp>,
    expires_in: Option<u64>,
    scopes: &'a Scopes,
    missing_scopes: &'a Scopes,
    connection: &'a ConnectionId,
    generation: u64,
    account: &'a Account,
    metadata: &'a BTreeMap<String, String>,
    refresh: RefreshAnswer<'a>,
}

#[derive(Serialize)]
struct RefreshAnswer<'a> {
    state: &'static str,
    retry_at: Option<Timestamp>,
    error: Option<&'a str>,
}

impl<'a> TokenAnswer<'a> {
    fn of(handout: &'a Handout) -> Self {
        Self {
            access_token: handout.access_token.expose(),
            token_type: &handout.token_type,
            expires_at: handout.expires_at,
            expires_in: handout.expires_in,
            scopes: &handout.scopes,
            missing_scopes: &handout.missing_scopes,
            connection: &handout.connection,
            generation: handout.generation,
            account: &handout.account,
            metadata: &handout.metadata,
            refresh: RefreshAnswer {
                state: handout.refresh.state,
                retry_at: handout.refresh.retry_at,
                error: handout.refresh.error.as_deref(),
            },
        }
    }
}

/// `POST /get-access-token`. The fields are read first: key and connection then come in one round trip.
pub(super) async fn get_access_token(call: Call) -> Answer {
    let fields: TokenFields = match call.fields() {
        Ok(fields) => fields,
        Err(refusal) => {
            // Who may not ask at all hears that first, here as on every route.
            call.caller().await?;
            return Err(refusal);
        }
    };
    let slot = Slot { provider: fields.provider, end_user: fields.end_user, account: fields.account };
    let wish = Wish {
        min_ttl: fields.min_ttl.map(|seconds| seconds.0),
        force_refresh: fields.force_refresh,
        token: fields.token,
    };
    let Authenticated { caller, connection } = call.authenticate(Some(&slot)).await?;
    if let Err(refusal) = caller.may_use(&slot.provider) {
        call.broker().token_refused(caller.authority(), &slot, &refusal).await;
        return Err(refusal);
    }
    let handout = call.broker().access_token(caller.authority(), &slot, wish, connection).await?;
    json(StatusCode::OK, &TokenAnswer::of(&handout))
}
