//! The roof: it reads settings, chooses adapters, and joins them with the rooms below. The only place that knows them all.

mod audit;
mod compose;
mod demo;
mod error;
mod health;
mod instance;
mod running;
mod sandbox;
mod store;

pub use audit::{AuditCall, verify_audit};
pub use compose::{Checked, check, routes, start, start_by, vault};
pub use demo::{DemoOptions, demo};
pub use error::StartError;
pub use health::health;
pub use running::Running;
pub use sandbox::{SandboxCall, sandbox};

use crate::adapters::system::SystemChance;
use crate::ports::{Chance, ChanceExt};
use base64::{Engine, engine::general_purpose::STANDARD};

/// A new master key as it stands in `vault.master_keys`: `<id>:<base64 of 32 bytes>`.
pub fn new_master_key(id: Option<&str>) -> String {
    let chance: &dyn Chance = &SystemChance;
    let id = id.map_or_else(|| format!("mk-{}", chance.base62(8)), str::to_owned);
    format!("{id}:{}", STANDARD.encode(chance.bytes::<32>()))
}
