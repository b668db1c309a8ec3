//! What a connection is: the types that its record is read into.

use super::Plan;
use crate::domain::{
    AccessToken, Account, AttemptId, ConnectionId, Deed, EndUserId, GrantId, ProviderId,
    ReauthorizationReason, RefreshToken, Scopes, Timestamp,
};
use crate::vault::fields::Fields;
use crate::vault::{VaultError, keys};
use std::collections::BTreeMap;

pub(super) const KIND: &str = "connection";

/// What one connection fills: one end user's one account at one provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// At which provider.
    pub provider: ProviderId,
    /// Whose.
    pub end_user: EndUserId,
    /// Which of the end user's accounts.
    pub account: Account,
}

impl Slot {
    /// Says of a deed that it was done to this slot.
    pub fn named_in(&self, deed: Deed) -> Deed {
        let deed = deed.about("provider", &self.provider).about("end_user", self.end_user.as_str());
        match self.account.as_str() {
            "" => deed,
            account => deed.about("account", account),
        }
    }

    pub(in crate::vault) fn read(fields: Fields<'_>) -> Result<Self, VaultError> {
        Ok(Self {
            provider: fields.parsed("provider", ProviderId::parse)?,
            end_user: fields.parsed("end_user", EndUserId::parse)?,
            account: fields.parsed("account", Account::parse)?,
        })
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Tokens can be had.
    Active,
    /// The last refresh failed; it will be tried again.
    Failing,
    /// The end user has to connect again.
    ReauthorizationRequired(ReauthorizationReason),
    /// It is being deleted.
    Deleting,
}

impl Status {
    /// The word in answers and records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Failing => "failing",
            Self::ReauthorizationRequired(_) => "reauthorization_required",
            Self::Deleting => "deleting",
        }
    }
}

/// A refresh that somebody has begun, in the store's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Whose it is.
    pub id: AttemptId,
    /// When it was begun.
    pub started: Timestamp,
    /// When its outcome counts as unknown.
    pub deadline: Timestamp,
}

/// What went wrong lately; empty after a success.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Failures since the last success.
    pub failures: u32,
    /// Not before this time again.
    pub retry_at: Option<Timestamp>,
    /// What the provider said last, its own code, or our word for what happened.
    pub last_error: Option<String>,
    /// When that was.
    pub last_error_at: Option<Timestamp>,
    /// Where the registration is at fault: the revision of the integration that was not taken.
    pub revision: Option<u64>,
    /// A refresh of this generation was answered with a 429 or 5xx: a refusal that follows may be of its own making.
    pub doubted: bool,
    /// Since when the refresh token of this generation may have been spent without anybody seeing the answer.
    pub unknown_since: Option<Timestamp>,
}

/// A further token of the same grant, such as a bot's.
#[derive(Clone, Debug)]
pub struct MoreToken {
    /// The token.
    pub access: AccessToken,
    /// Its own refresh token, where it has one.
    pub refresh: Option<RefreshToken>,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
}

/// The secrets of one generation, opened.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: AccessToken,
    /// The refresh token, where there is one.
    pub refresh: Option<RefreshToken>,
    /// The refresh token before it and until when the provider still takes it.
    pub previous: Option<(RefreshToken, Timestamp)>,
    /// Further tokens by name.
    pub more: BTreeMap<String, MoreToken>,
}

/// Who was connected, as the provider names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The provider's id of them.
    pub id: Option<String>,
    /// A name to show.
    pub name: Option<String>,
}

/// A grant as it comes from an exchange.
#[derive(Clone, Debug)]
pub struct NewGrant {
    /// Its tokens.
    pub tokens: Tokens,
    /// As the provider calls it; usually `Bearer`.
    pub token_type: String,
    /// When the access token was issued, by our clock before the request.
    pub issued_at: Timestamp,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
    /// When the refresh token ends, if that is known.
    pub refresh_expires_at: Option<Timestamp>,
    /// What was granted.
    pub scopes: Scopes,
    /// What was asked.
    pub requested_scopes: Scopes,
    /// Under which client id.
    pub client_id: String,
    /// Values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// What the provider told of the account.
    pub metadata: BTreeMap<String, String>,
    /// Who was connected.
    pub identity: Identity,
    /// What is to come.
    pub plan: Plan,
}

/// A connection as it is kept. Its tokens stay sealed until asked for.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are those of NewGrant and of the types they hold")]
pub struct Connection {
    pub id: ConnectionId,
    pub grant: GrantId,
    pub slot: Slot,
    pub status: Status,
    pub generation: u64,
    pub token_type: String,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub refresh_expires_at: Option<Timestamp>,
    pub scopes: Scopes,
    pub requested_scopes: Scopes,
    pub client_id: String,
    pub variables: BTreeMap<String, String>,
    pub metadata: BTreeMap<String, String>,
    pub identity: Identity,
    pub attempt: Option<Attempt>,
    pub last_attempt: Option<AttemptId>,
    pub trouble: Trouble,
    pub created_at: Timestamp,
    pub connected_at: Timestamp,
    pub refreshed_at: Option<Timestamp>,
    /// When a token of it was last handed out, more or less.
    pub used_at: Option<Timestamp>,
    /// It was told that it ends.
    pub expiring_told: bool,
    pub plan: Plan,
    pub(in crate::vault) rev: u64,
    pub(in crate::vault) sealed: Sealed,
}

/// The secrets of a connection as they lie in the store.
#[derive(Clone, Debug, Default)]
pub(in crate::vault) struct Sealed {
    pub access: Vec<u8>,
    pub refresh: Option<Vec<u8>>,
    pub previous: Option<(Vec<u8>, Timestamp)>,
    pub more: Option<Vec<u8>>,
}

impl Connection {
    /// True when a refresh token lies in it.
    pub fn has_refresh_token(&self) -> bool {
        self.sealed.refresh.is_some()
    }

    /// True when the access token can still be used at that time.
    pub fn lives_at(&self, at: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| at < end)
    }

    /// The record id that its secrets are sealed for: the grant and the slot. The grant alone would let a whole record be
    /// copied under another end user's name.
    pub(super) fn sealed_as(&self) -> String {
        [self.grant.as_str(), "=", &keys::slot_member(&self.slot)].concat()
    }
}
