//! How a connection lies in the store: its record's fields, written and read strictly.
//!
//! There are millions of these records, and each is read millions of times: what goes without saying is left out, and the
//! slot stands in the record's name alone.

use super::record::{Connection, Identity, NewGrant, Sealed, Slot, Status, Trouble};
use super::{Attempt, Plan};
use crate::domain::{ConnectionId, GrantId, ReauthorizationReason, Timestamp};
use crate::ports::store::{Key, Record, Value};
use crate::vault::fields::{Draft, Fields, read_scopes};
use crate::vault::{VaultError, keys};

/// The type that nearly all tokens have (RFC 6750).
const BEARER: &str = "Bearer";

impl Connection {
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
            used_at: Some(connected_at),
            expiring_told: false,
            plan: grant.plan,
            rev: 0,
            sealed: Sealed::default(),
        }
    }

    /// All fields of the record, with these sealed ones.
    pub(super) fn fields(&self, sealed: Vec<(String, Value)>) -> Vec<(String, Value)> {
        let reason = match self.status {
            Status::ReauthorizationRequired(reason) => Some(reason.as_str()),
            _ => None,
        };
        let draft = Draft::record()
            .put("id", &self.id)
            .put("grant", &self.grant)
            .put("status", self.status.word())
            .maybe("reason", reason)
            .put("generation", self.generation)
            .maybe("token_type", (self.token_type != BEARER).then_some(&self.token_type))
            .time("issued_at", self.issued_at)
            .maybe_time("expires_at", self.expires_at)
            .maybe_time("refresh_expires_at", self.refresh_expires_at)
            .scopes("scopes", &self.scopes)
            .maybe(
                "requested_scopes",
                (self.requested_scopes != self.scopes).then(|| self.requested_scopes.join(" ")),
            )
            .put("client_id", &self.client_id)
            .map("variables", &self.variables)
            .map_unless_empty("metadata", &self.metadata)
            .maybe("identity_id", self.identity.id.as_deref())
            .maybe("identity_name", self.identity.name.as_deref())
            .maybe("last_attempt", self.last_attempt.as_ref())
            .maybe("failures", (self.trouble.failures > 0).then_some(self.trouble.failures))
            .maybe_time("retry_at", self.trouble.retry_at)
            .maybe("last_error", self.trouble.last_error.as_deref())
            .maybe_time("last_error_at", self.trouble.last_error_at)
            .maybe("failed_revision", self.trouble.revision)
            .maybe("doubted", self.trouble.doubted.then_some(1))
            .maybe_time("unknown_since", self.trouble.unknown_since)
            .time("created_at", self.created_at)
            .maybe_time("connected_at", (self.connected_at != self.created_at).then_some(self.connected_at))
            .maybe_time("refreshed_at", self.refreshed_at)
            .maybe_time("used_at", self.used_at.filter(|at| *at != self.connected_at))
            .maybe("expiring_told", self.expiring_told.then_some(1))
            .maybe_time("due_at", self.plan.due_at)
            .maybe_time("reauthorize_by", self.plan.reauthorize_by);
        sealed.into_iter().fold(draft, Draft::sealed).done()
    }
}

pub(in crate::vault) fn read(key: &Key, record: &Record) -> Result<Connection, VaultError> {
    let fields = Fields::of(key, record)?;
    let slot = keys::place_of_connection(key).and_then(keys::parse_slot);
    let slot = slot.ok_or_else(|| fields.fault("id", "lies under a name that names no slot"))?;
    let created_at = fields.time("created_at")?;
    let connected_at = fields.maybe_time("connected_at")?.unwrap_or(created_at);
    let scopes = fields.scopes("scopes")?;
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
        token_type: fields.optional("token_type").unwrap_or(BEARER).to_owned(),
        issued_at: fields.time("issued_at")?,
        expires_at: fields.maybe_time("expires_at")?,
        refresh_expires_at: fields.maybe_time("refresh_expires_at")?,
        requested_scopes: fields.optional("requested_scopes").map_or_else(|| scopes.clone(), read_scopes),
        scopes,
        client_id: fields.text("client_id")?.to_owned(),
        variables: fields.map("variables")?,
        metadata: fields.map_if_any("metadata")?,
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
            last_error_at: fields.maybe_time("last_error_at")?,
            revision: fields.maybe("failed_revision", |text| text.parse().ok())?,
            doubted: fields.optional("doubted").is_some(),
            unknown_since: fields.maybe_time("unknown_since")?,
        },
        created_at,
        connected_at,
        refreshed_at: fields.maybe_time("refreshed_at")?,
        used_at: fields.maybe_time("used_at")?.or(Some(connected_at)),
        expiring_told: fields.optional("expiring_told").is_some(),
        plan: Plan {
            due_at: fields.maybe_time("due_at")?,
            reauthorize_by: fields.maybe_time("reauthorize_by")?,
        },
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
