//! The shape of a session's record.

use crate::domain::{ConnectionId, Deed, Scopes, SessionId, TenantId, Timestamp};
use crate::ports::store::{Key, Record, Value};
use crate::vault::fields::{Draft, Fields};
use crate::vault::{Slot, VaultError};
use std::collections::BTreeMap;

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Waits for its end user; may be opened several times.
    Pending,
    /// The provider sent a code, which waits for the tenant's backend.
    Returned,
    /// Its code is being exchanged.
    Exchanging,
    /// It became this connection.
    Completed(ConnectionId),
    /// The end user said no at the provider.
    Denied,
    /// It ended with this problem code.
    Failed(String),
}

impl SessionState {
    /// The word in answers and records.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Returned => "returned",
            Self::Exchanging => "exchanging",
            Self::Completed(_) => "completed",
            Self::Denied => "denied",
            Self::Failed(_) => "failed",
        }
    }
}

/// What a session is made of.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// What it will fill.
    pub slot: Slot,
    /// A name for the end user, for pages.
    pub label: Option<String>,
    /// What is asked.
    pub scopes: Scopes,
    /// Where the browser returns to in the tenant's product.
    pub redirect_url: String,
    /// Values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// The tenant backend's own S256 challenge.
    pub code_challenge: Option<String>,
    /// The revision of the integration it was made under.
    pub integration_rev: u64,
    /// The fingerprint of the provider's endpoints it was made under.
    pub endpoints: String,
    /// Until when it may be completed.
    pub expires_at: Timestamp,
}

/// A session as it is kept.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its public id.
    pub id: SessionId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it was made of.
    pub made: NewSession,
    /// Where it stands.
    pub state: SessionState,
    pub(super) hash: String,
    pub(super) rev: u64,
    pub(super) completion_hash: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) captured: BTreeMap<String, String>,
    pub(super) code: Option<Vec<u8>>,
    pub(super) pkce_verifier: Option<Vec<u8>>,
}

impl Session {
    /// Says of a deed that it was done to this session.
    pub fn named_in(&self, deed: Deed) -> Deed {
        self.made.slot.named_in(deed.about("session", &self.id))
    }

    /// What the cookie of its openings is called after: the first 8 hexadecimal digits of the ticket's hash.
    pub fn cookie_tag(&self) -> &str {
        self.hash.get(..8).unwrap_or(&self.hash)
    }
}

pub(super) fn fields(id: &SessionId, tenant: &TenantId, made: &NewSession) -> Vec<(String, Value)> {
    Draft::record()
        .put("id", id)
        .put("tenant", tenant)
        .put("provider", &made.slot.provider)
        .put("end_user", made.slot.end_user.as_str())
        .put("account", made.slot.account.as_str())
        .maybe("end_user_label", made.label.as_deref())
        .scopes("scopes", &made.scopes)
        .put("redirect_url", &made.redirect_url)
        .map("variables", &made.variables)
        .maybe("code_challenge", made.code_challenge.as_deref())
        .put("integration_rev", made.integration_rev)
        .put("endpoints", &made.endpoints)
        .put("state", SessionState::Pending.word())
        .time("expires_at", made.expires_at)
        .done()
}

pub(super) fn read(key: &Key, hash: &str, record: &Record) -> Result<Session, VaultError> {
    let fields = Fields::of(key, record)?;
    let state = match fields.text("state")? {
        "pending" => SessionState::Pending,
        "returned" => SessionState::Returned,
        "exchanging" => SessionState::Exchanging,
        "completed" => SessionState::Completed(fields.id("connection")?),
        "denied" => SessionState::Denied,
        "failed" => SessionState::Failed(fields.text("problem")?.to_owned()),
        _ => return Err(fields.fault("state", "is no state")),
    };
    let made = NewSession {
        slot: Slot::read(fields)?,
        label: fields.optional("end_user_label").map(str::to_owned),
        scopes: fields.scopes("scopes")?,
        redirect_url: fields.text("redirect_url")?.to_owned(),
        variables: fields.map("variables")?,
        code_challenge: fields.optional("code_challenge").map(str::to_owned),
        integration_rev: fields.parsed("integration_rev", |text| text.parse().ok())?,
        endpoints: fields.text("endpoints")?.to_owned(),
        expires_at: fields.time("expires_at")?,
    };
    Ok(Session {
        id: fields.id("id")?,
        tenant: fields.id("tenant")?,
        made,
        state,
        hash: hash.to_owned(),
        rev: fields.rev(),
        completion_hash: fields.optional("completion_hash").map(str::to_owned),
        redirect_uri: fields.optional("redirect_uri").map(str::to_owned),
        captured: fields.maybe("captured", |text| serde_json::from_str(text).ok())?.unwrap_or_default(),
        code: fields.bytes("code").map(<[u8]>::to_vec),
        pkce_verifier: fields.bytes("pkce_verifier").map(<[u8]>::to_vec),
    })
}
