//! The audit trail as a tenant sees it. Reading it is a deed like any other.

use super::Broker;
use crate::domain::{Action, Deed, Refusal};
use crate::vault::{AuditFilter, AuditRecord, Authority};

impl Broker {
    /// Records that pass a filter, the newest first, after that position, `limit` looked at; and where to go on. None where the
    /// position is none.
    pub async fn read_audit(
        &self,
        by: &Authority,
        filter: &AuditFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<(Vec<AuditRecord>, Option<String>)>, Refusal> {
        let audit = self.vault.audit(by);
        let page = audit.list(filter, after, limit).await?;
        if page.is_some() {
            audit.record(Deed::done(Action::AuditRead)).await?;
        }
        Ok(page)
    }
}
