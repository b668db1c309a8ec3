//! The hot path: one question, one read, one answer.

use super::{Answer, Call, Description, Tag, json};
use crate::accounts::Authenticated;
use crate::broker::{Handout, Wish};
use crate::domain::{
    AccessToken, Account, ConnectionId, EndUserId, ProviderId, ReauthorizationReason, Refusal, Scopes,
    Timestamp,
};
use crate::http::body::Seconds;
use crate::http::openapi::RefreshState;
use crate::vault::{Along, Slot};
use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;

/// Which token is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenFields {
    /// At which provider.
    provider: ProviderId,
    /// Whose.
    end_user: EndUserId,
    /// Which of the end user's accounts; absent: the one without a label.
    #[serde(default)]
    account: Account,
    /// One of the provider's `tokens`, where a grant has several; absent: the main one.
    token: Option<String>,
    /// Seconds that it should still live.
    min_ttl: Option<Seconds>,
    /// True: one from a refresh that begins after this request came.
    #[serde(default)]
    force_refresh: bool,
}

/// A working access token and what there is to know about it.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenAnswer<'a> {
    /// To be sent to the provider's API.
    #[schema(value_type = AccessToken)]
    access_token: &'a str,
    /// How it is sent, such as `Bearer`.
    token_type: &'a str,
    /// When it ends; null where the provider does not say.
    #[schema(required)]
    expires_at: Option<Timestamp>,
    /// The same in whole seconds from now.
    #[schema(required)]
    expires_in: Option<u64>,
    /// What was granted.
    scopes: &'a Scopes,
    /// What was asked and not granted.
    missing_scopes: &'a Scopes,
    /// The connection it comes from.
    connection: &'a ConnectionId,
    /// Grows by one at every new token.
    generation: u64,
    /// As asked.
    account: &'a Account,
    /// What the provider told of the account, by name.
    metadata: &'a BTreeMap<String, String>,
    /// How it came about.
    refresh: RefreshAnswer<'a>,
}

/// How a token came about.
#[derive(Serialize, ToSchema)]
#[schema(as = Refresh)]
struct RefreshAnswer<'a> {
    /// In a word.
    #[schema(value_type = RefreshState)]
    state: &'static str,
    /// Where it is failing: when it is tried again.
    #[schema(required)]
    retry_at: Option<Timestamp>,
    /// Where it is failing: the provider's own code, or a word of ours.
    #[schema(required)]
    error: Option<&'a str>,
}

impl<'a> TokenAnswer<'a> {
    fn of(handout: &'a Handout) -> Self {
        let connection = &handout.connection;
        Self {
            access_token: handout.access_token.expose(),
            token_type: &connection.token_type,
            expires_at: handout.expires_at,
            expires_in: handout.expires_in,
            scopes: &connection.scopes,
            missing_scopes: &handout.missing_scopes,
            connection: &connection.id,
            generation: connection.generation,
            account: &connection.slot.account,
            metadata: &connection.metadata,
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
    let along = Along { slot: &slot, anew: wish.wants_anew() };
    let Authenticated { caller, slot: read } = call.authenticate(Some(along)).await?;
    if let Err(refusal) = caller.may_use(&slot.provider) {
        call.broker().token_refused(caller.authority(), &slot, &refusal).await;
        return Err(refusal);
    }
    let handout = call.broker().access_token(caller.authority(), &slot, wish, read).await?;
    json(StatusCode::OK, &TokenAnswer::of(&handout))
}

pub(super) fn described() -> Description {
    let reason = ReauthorizationReason::Revoked;
    Description::new(Tag::Tokens, "Get a working access token")
        .detail("One that has expired or is about to is refreshed first, once, whoever asks. Ask every time and keep none.")
        .body::<TokenFields>()
        .answers::<TokenAnswer>(200, "The token.")
        .refuses([
            Refusal::field("end_user", "is missing"),
            Refusal::ConnectionNotFound,
            Refusal::NotFound { what: "a provider `slak`".to_owned() },
            Refusal::ReauthorizationRequired { reason, connection: None },
            Refusal::IntegrationMisconfigured { error: "invalid_client".to_owned() },
            Refusal::ProviderRefused { error: "access_denied".to_owned() },
            Refusal::ProviderUnavailable { retry_after: Duration::from_secs(5) },
        ])
}
