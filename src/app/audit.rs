//! `grantkeep audit verify`: the store and the keys of the settings, and nothing else of a server.

use super::compose::open_vault;
use super::error::StartError;
use crate::adapters::embedded::OpenError;
use crate::adapters::http::install_tls;
use crate::adapters::system::{SystemChance, SystemClock};
use crate::config::Settings;
use crate::domain::TenantId;
use crate::ports::{Chance, Clock};
use crate::vault::{HeadsLog, TrailFault, VaultError, Verified};
use std::sync::Arc;

/// What is to be verified.
#[derive(Clone, Debug, Default)]
pub struct AuditCall {
    /// One tenant; all where none is given.
    pub tenant: Option<TenantId>,
    /// Heads that were logged.
    pub heads: HeadsLog,
}

/// Goes over audit trails and tells every fault. It only reads, and may run beside servers where the store lets it.
pub async fn verify_audit(
    settings: &Settings,
    call: &AuditCall,
    tell: &mut dyn FnMut(TrailFault),
) -> Result<Verified, StartError> {
    install_tls();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let chance: Arc<dyn Chance> = Arc::new(SystemChance);
    let (vault, _) = open_vault(settings, &clock, &chance).await.map_err(|error| match error {
        StartError::Embedded(OpenError::InUse { folder }) => {
            StartError::Audit(format!(
                "the store in {} is held by the server: stop it, or verify a copy of the folder (see Backup in docs/operations.md)",
                folder.display()
            ))
        }
        other => other,
    })?;
    let verified =
        vault.verify_audit(call.tenant.as_ref(), &call.heads, settings.audit.retention, tell).await;
    verified.map_err(|error| match error {
        VaultError::TenantGone(_) => {
            StartError::Audit(format!("{error}; --tenant is the id in its API keys"))
        }
        _ => StartError::Audit(error.to_string()),
    })
}
