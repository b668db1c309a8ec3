//! The audit trail as a tenant sees it. Reading it is a deed like any other.

use super::Broker;
use crate::domain::{Action, Deed, Refusal};
use crate::vault::{AuditFilter, AuditRecord, Authority};

/// Pages in which nothing passes a filter, before an empty one is answered: what is rare should not cost a request for each.
const IN_VAIN: usize = 20;

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
        let mut page = audit.list(filter, after, limit).await?;
        for _ in 0..IN_VAIN {
            let Some((found, Some(next))) = &page else { break };
            if !found.is_empty() {
                break;
            }
            page = audit.list(filter, Some(next), limit).await?;
        }
        if page.is_some() {
            audit.record(Deed::done(Action::AuditRead)).await?;
        }
        Ok(page)
    }
}
