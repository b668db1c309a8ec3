//! What an attempt brought, as it waits on a disk: what would lie in the store, sealed in the same way, and who it is for.

use super::{Brought, Connections};
use crate::domain::{AttemptId, Event, EventKind, TenantId, Timestamp};
use crate::ports::store::Value;
use crate::vault::keys;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// The version that is written.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    version: u32,
    tenant: TenantId,
    slot: String,
    attempt: AttemptId,
    /// The generation that the attempt was about.
    generation: u64,
    /// All fields of the connection as it will be, in base64.
    fields: Vec<(String, String)>,
    /// Where it stood in the index of what is due, in milliseconds.
    due_before: Option<i64>,
    told: Vec<(String, Vec<(String, String)>)>,
}

/// An outcome that waited on a disk, and whose.
pub struct Spilled {
    /// Whose.
    pub tenant: TenantId,
    /// The outcome.
    pub brought: Brought,
}

impl Connections<'_> {
    /// New tokens as they may lie on a disk; none where the outcome has none: nothing would be lost with it.
    pub fn spill(&self, brought: &Brought) -> Option<Vec<u8>> {
        let next = brought.next()?;
        let bytes = |(name, value)| match value {
            Value::Bytes(bytes) => Some((name, STANDARD.encode(bytes))),
            Value::Now(_) => None,
        };
        let told = |event: &Event| (event.kind.as_str().to_owned(), event.about.clone());
        let page = Page {
            version: VERSION,
            tenant: self.by.tenant().clone(),
            slot: keys::slot_member(&brought.slot),
            attempt: brought.attempt.clone(),
            generation: brought.generation,
            fields: next.fields(next.sealed.fields()).into_iter().filter_map(bytes).collect(),
            due_before: brought.due_before.map(Timestamp::as_millis),
            told: brought.told.iter().map(told).collect(),
        };
        serde_json::to_vec(&page).ok()
    }
}

impl Spilled {
    /// Reads what [`Connections::spill`] wrote; what is wrong with it, where it is something else.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let page: Page = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if page.version != VERSION {
            return Err(format!("version {} is of another version of Grantkeep", page.version));
        }
        let slot = keys::parse_slot(&page.slot).ok_or("`slot` cannot be read")?;
        let value = |(name, text): (String, String)| {
            let bytes = STANDARD.decode(text).map_err(|_| format!("`{name}` is no base64"))?;
            Ok((name, Value::Bytes(bytes)))
        };
        let fields = page.fields.into_iter().map(value).collect::<Result<Vec<_>, String>>()?;
        let told = page
            .told
            .into_iter()
            .filter_map(|(kind, about)| Some(Event { kind: EventKind::parse(&kind)?, about }));
        let due_before = page.due_before.map(Timestamp::from_millis);
        let key = keys::connection(&page.tenant, &slot);
        let brought =
            Brought::of_tokens(&key, fields, page.attempt, page.generation, (due_before, told.collect()));
        Ok(Self { tenant: page.tenant, brought: brought.map_err(|error| error.to_string())? })
    }
}
