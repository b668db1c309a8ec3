//! The shape of a connection's record, and how its tokens are sealed into it.

use crate::domain::{
    AccessToken, Account, AttemptId, ConnectionId, Deed, EndUserId, GrantId, ProviderId,
    ReauthorizationReason, RefreshToken, Scopes, Timestamp,
};
use crate::ports::store::{Key, Record, Value};
use crate::vault::fields::{Draft, Fields, read_scopes};
use crate::vault::{VaultError, data_keys, keys};
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
        format!("{}={}", self.grant, keys::slot_member(&self.slot))
    }

    pub(super) fn begin(
        id: ConnectionId,
        grant_id: GrantId,
        slot: Slot,
        generation: u64,
        (created_at, connected_at): (Timestamp, Timestamp),
        grant: &NewGrant,
    ) -> Self {
        Self {
            id,
            grant: grant_id,
            slot,
            status: Status::Active,
            generation,
            token_type: grant.token_type.clone(),
            issued_at: grant.issued_at,
            expires_at: grant.expires_at,
            refresh_expires_at: grant.refresh_expires_at,
            scopes: grant.scopes.clone(),
            requested_scopes: grant.requested_scopes.clone(),
            client_id: grant.client_id.clone(),
            variables: grant.variables.clone(),
            metadata: grant.metadata.clone(),
            identity: grant.identity.clone(),
            attempt: None,
            last_attempt: None,
            trouble: Trouble::default(),
            created_at,
            connected_at,
            refreshed_at: None,
            rev: 0,
            sealed: Sealed::default(),
        }
    }

    /// All fields of the record, with these sealed ones.
    pub(super) fn fields(&self, sealed: Vec<(String, Value)>) -> Vec<(String, Value)> {
        let slot = &self.slot;
        let reason = match self.status {
            Status::ReauthorizationRequired(reason) => Some(reason.as_str()),
            _ => None,
        };
        let draft = Draft::record()
            .put("id", &self.id)
            .put("grant", &self.grant)
            .put("provider", &slot.provider)
            .put("end_user", slot.end_user.as_str())
            .put("account", slot.account.as_str())
            .put("status", self.status.word())
            .maybe("reason", reason)
            .put("generation", self.generation)
            .put("token_type", &self.token_type)
            .time("issued_at", self.issued_at)
            .maybe_time("expires_at", self.expires_at)
            .maybe_time("refresh_expires_at", self.refresh_expires_at)
            .scopes("scopes", &self.scopes)
            .scopes("requested_scopes", &self.requested_scopes)
            .put("client_id", &self.client_id)
            .map("variables", &self.variables)
            .map("metadata", &self.metadata)
            .maybe("identity_id", self.identity.id.as_deref())
            .maybe("identity_name", self.identity.name.as_deref())
            .maybe("last_attempt", self.last_attempt.as_ref())
            .maybe("failures", (self.trouble.failures > 0).then_some(self.trouble.failures))
            .maybe_time("retry_at", self.trouble.retry_at)
            .maybe("last_error", self.trouble.last_error.as_deref())
            .maybe("doubted", self.trouble.doubted.then_some(1))
            .maybe_time("unknown_since", self.trouble.unknown_since)
            .time("created_at", self.created_at)
            .time("connected_at", self.connected_at)
            .maybe_time("refreshed_at", self.refreshed_at);
        sealed.into_iter().fold(draft, Draft::sealed).done()
    }
}

pub(in crate::vault) fn read(key: &Key, record: &Record) -> Result<Connection, VaultError> {
    let fields = Fields::of(key, record)?;
    let slot = Slot::read(fields)?;
    if keys::place_of_connection(key) != Some(keys::slot_member(&slot).as_str()) {
        data_keys::alarm(key.name(), "end_user");
        return Err(fields.fault("end_user", "or its provider or account is another's: the record was moved"));
    }
    let missing = |field| move || fields.fault(field, "is missing");
    let access = fields.bytes("access_token").ok_or_else(missing("access_token"))?.to_vec();
    let previous = match fields.bytes("previous_refresh_token") {
        None => None,
        Some(sealed) => Some((sealed.to_vec(), fields.time("previous_until")?)),
    };
    let sealed = Sealed {
        access,
        refresh: fields.bytes("refresh_token").map(<[u8]>::to_vec),
        previous,
        more: fields.bytes("more_tokens").map(<[u8]>::to_vec),
    };
    Ok(Connection {
        id: fields.id("id")?,
        grant: fields.id("grant")?,
        slot,
        status: status(fields)?,
        generation: fields.parsed("generation", |text| text.parse().ok())?,
        token_type: fields.text("token_type")?.to_owned(),
        issued_at: fields.time("issued_at")?,
        expires_at: fields.maybe_time("expires_at")?,
        refresh_expires_at: fields.maybe_time("refresh_expires_at")?,
        scopes: fields.scopes("scopes")?,
        requested_scopes: fields.text("requested_scopes").map(read_scopes)?,
        client_id: fields.text("client_id")?.to_owned(),
        variables: fields.map("variables")?,
        metadata: fields.map("metadata")?,
        identity: Identity {
            id: fields.optional("identity_id").map(str::to_owned),
            name: fields.optional("identity_name").map(str::to_owned),
        },
        attempt: attempt(fields)?,
        last_attempt: fields.maybe("last_attempt", crate::domain::Id::parse)?,
        trouble: Trouble {
            failures: fields.maybe("failures", |text| text.parse().ok())?.unwrap_or(0),
            retry_at: fields.maybe_time("retry_at")?,
            last_error: fields.optional("last_error").map(str::to_owned),
            doubted: fields.optional("doubted").is_some(),
            unknown_since: fields.maybe_time("unknown_since")?,
        },
        created_at: fields.time("created_at")?,
        connected_at: fields.time("connected_at")?,
        refreshed_at: fields.maybe_time("refreshed_at")?,
        rev: fields.rev(),
        sealed,
    })
}

fn status(fields: Fields<'_>) -> Result<Status, VaultError> {
    match fields.text("status")? {
        "active" => Ok(Status::Active),
        "failing" => Ok(Status::Failing),
        "deleting" => Ok(Status::Deleting),
        "reauthorization_required" => {
            fields.parsed("reason", ReauthorizationReason::parse).map(Status::ReauthorizationRequired)
        }
        _ => Err(fields.fault("status", "is no status")),
    }
}

fn attempt(fields: Fields<'_>) -> Result<Option<Attempt>, VaultError> {
    let Some(id) = fields.maybe("attempt_id", crate::domain::Id::parse)? else { return Ok(None) };
    let (started, deadline) = (fields.time("attempt_started")?, fields.time("attempt_deadline")?);
    Ok(Some(Attempt { id, started, deadline }))
}
