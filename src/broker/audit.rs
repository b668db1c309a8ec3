//! The audit trail as a tenant sees it. Reading it is a deed like any other.

use super::Broker;
use super::sparse::first_with_some;
use crate::domain::{Action, Deed, Refusal};
use crate::vault::{AuditFilter, AuditRecord, Authority};

impl Broker {
    /// Records that pass a filter, the newest first, after that position, `limit` at most; and where to go on. None where the
    /// position is none.
    pub async fn read_audit(
        &self,
        by: &Authority,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<(Vec<AuditRecord>, Option<String>)>, Refusal> {
        let audit = self.vault.audit(by);
        let audit = &audit;
        let list = |after: Option<String>| async move { audit.list(filter, after.as_deref(), limit).await };
        let page = first_with_some(after, list).await?;
        if page.is_some() {
            audit.record(Deed::done(Action::AuditRead)).await?;
        }
        Ok(page)
    }
}
