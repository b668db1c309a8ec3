//! What can go wrong between plaintext and storage.

use crate::domain::Refusal;
use crate::ports::store::StoreError;
use crate::telemetry::metrics;
use std::time::Duration;

/// What can go wrong between plaintext and storage. Names records and fields, never values.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum VaultError {
    /// The store gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record is not what this version writes.
    #[error("record {record}: field `{field}` {what}")]
    Corrupt {
        /// The record's name.
        record: String,
        /// The field at fault.
        field: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A sealed field does not open in its place: changed, moved, or sealed under a key that is not here.
    #[error("record {record}: sealed field `{field}` does not open in its place")]
    DoesNotOpen {
        /// The record's name.
        record: String,
        /// The field at fault.
        field: String,
    },
    /// No master key of this id is configured.
    #[error("tenant {tenant}: its data key is wrapped by master key `{master}`, which is not configured")]
    MasterKeyMissing {
        /// The tenant.
        tenant: String,
        /// The master key's id.
        master: String,
    },
    /// The tenant is gone; its data key was destroyed.
    #[error("tenant {0} does not exist")]
    TenantGone(String),
    /// A fault of ours: something was to be recorded by a process that was not told where.
    #[error("this process writes no audit trail: it was started without one")]
    NoTrail,
    /// So much waits to be recorded that nothing more is taken.
    #[error("the audit trail takes no more: {0} records wait to be written")]
    TrailFull(usize),
}

impl VaultError {
    /// The store cannot be reached.
    pub fn unavailable(why: impl Into<String>) -> Self {
        StoreError::Unavailable(why.into()).into()
    }
}

/// The cause is logged here, once; what the caller hears has no cause in it.
impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_))
            | VaultError::TrailFull(_) => {
                tracing::warn!(%error, "the store did not answer");
                metrics::store_error("vault");
                Self::StoreUnavailable { retry_after: Duration::from_secs(1) }
            }
            VaultError::TenantGone(_) => Self::Unauthenticated,
            _ => {
                tracing::error!(%error, "a record could not be used");
                Self::Internal
            }
        }
    }
}
