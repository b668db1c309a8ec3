//! Verification: is every record there, once, in its place, and as it was written?
//!
//! It needs nothing but to read, and works beside servers that write and trim: what was there when it began has to be there,
//! what comes meanwhile has to follow.

use super::chain::{Head, Link, Trails};
use super::check::{Checker, Wrong};
use super::heads_log::HeadsLog;
use crate::domain::{InstanceId, TenantId};
use crate::ports::store::{EntryId, Walk};
use crate::vault::data_keys::TenantKeys;
use crate::vault::{Vault, VaultError, keys};
use std::time::Duration;

/// Records read at once.
const PAGE: usize = 500;
/// How often a trail is gone over again because it was trimmed meanwhile.
const TRIES: usize = 5;

/// What was gone over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Tenants.
    pub tenants: u64,
    /// Trails: one for each instance that wrote for a tenant.
    pub trails: u64,
    /// Records.
    pub records: u64,
    /// Heads of the log that were compared.
    pub heads: u64,
    /// What was found wrong.
    pub faults: u64,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailFault {
    /// Whose trail it is.
    pub tenant: TenantId,
    /// Who wrote it; none where it is about all of the tenant's.
    pub instance: Option<InstanceId>,
    /// What is wrong, with the sequence numbers.
    pub what: String,
}

impl std::fmt::Display for TrailFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tenant {}", self.tenant)?;
        if let Some(instance) = &self.instance {
            write!(f, ", instance {instance}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What a verification goes by, and what it found so far.
struct Round<'a> {
    log: &'a HeadsLog,
    retention: Option<Duration>,
    verified: Verified,
    tell: &'a mut dyn FnMut(TrailFault),
}

impl Round<'_> {
    fn fault(&mut self, tenant: &TenantId, instance: Option<&InstanceId>, what: String) {
        self.verified.faults += 1;
        (self.tell)(TrailFault { tenant: tenant.clone(), instance: instance.cloned(), what });
    }
}

impl Vault {
    /// Goes over the trails of one tenant or of all, compares them with the heads of a log, and tells each fault. `retention` is
    /// how long records have to be there; for ever where none is given.
    pub async fn verify_audit(
        &self,
        only: Option<&TenantId>,
        log: &HeadsLog,
        retention: Option<Duration>,
        tell: &mut dyn FnMut(TrailFault),
    ) -> Result<Verified, VaultError> {
        let mut round = Round { log, retention, verified: Verified::default(), tell };
        if let Some(tenant) = only {
            self.verify_tenant(tenant, &mut round).await?;
            return Ok(round.verified);
        }
        let mut unlisted: Vec<&TenantId> = log.tenants().collect();
        unlisted.dedup();
        let mut tenants = self.all_tenants();
        while let Some(page) = tenants.next().await? {
            for tenant in page {
                unlisted.retain(|logged| **logged != tenant);
                match self.verify_tenant(&tenant, &mut round).await {
                    // Listed before it was written, or deleted meanwhile.
                    Ok(()) | Err(VaultError::TenantGone(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for tenant in unlisted {
            if self.store.get(&keys::tenant(tenant)).await?.is_some() {
                round.fault(tenant, None, "it is not in the index of tenants".to_owned());
                self.verify_tenant(tenant, &mut round).await?;
            }
        }
        Ok(round.verified)
    }

    async fn verify_tenant(&self, tenant: &TenantId, round: &mut Round<'_>) -> Result<(), VaultError> {
        let keys = match self.keys_of(tenant).await {
            Ok(keys) => keys,
            Err(error @ (VaultError::Store(_) | VaultError::TenantGone(_))) => return Err(error),
            Err(error) => {
                round.fault(tenant, None, format!("its records cannot be verified: {error}"));
                return Ok(());
            }
        };
        round.verified.tenants += 1;
        let mut instances = self.audit_instances(tenant).await?;
        let listed = instances.len();
        instances.extend(round.log.instances(tenant).cloned());
        for (place, instance) in instances.iter().enumerate() {
            if instances.iter().take(place).any(|before| before == instance) {
                continue;
            }
            let trails = Trails { tenant, instance };
            let checker = self.verify_trail(&trails, &keys, round).await?;
            round.verified.trails += 1;
            round.verified.records += checker.records();
            round.verified.heads += checker.heads();
            let mut faults = checker.into_faults();
            if place >= listed && faults.is_empty() && self.audit_head(&trails).await?.is_some() {
                faults.push(Wrong::NotListed);
            }
            for wrong in faults {
                round.fault(tenant, Some(instance), wrong.to_string());
            }
        }
        Ok(())
    }

    async fn verify_trail<'a>(
        &self,
        trails: &'a Trails<'a>,
        keys: &'a TenantKeys,
        round: &Round<'_>,
    ) -> Result<Checker<'a>, VaultError> {
        let now = self.clock.now();
        let all = round.log.of(trails.tenant, trails.instance).iter();
        // What is older may be gone by right.
        let young = all.filter(|head| round.retention.is_none_or(|retention| head.at.plus(retention) > now));
        let logged: Vec<_> = young.cloned().collect();
        let mut tries = TRIES;
        loop {
            let before = self.head_or_fault(trails).await?;
            let checker = Checker::begin(trails, keys, &before, logged.clone());
            let checker = self.go_over(trails, checker).await?;
            let after = self.head_or_fault(trails).await?;
            let trimmed = begin(&before) != begin(&after);
            tries -= 1;
            if !trimmed || tries == 0 {
                return Ok(checker.end(&after));
            }
        }
    }

    async fn go_over<'a>(
        &self,
        trails: &Trails<'_>,
        mut checker: Checker<'a>,
    ) -> Result<Checker<'a>, VaultError> {
        let mut after: Option<EntryId> = None;
        loop {
            let page = self.store.entries(&trails.stream(), Walk::Up(after), PAGE).await?;
            for (id, record) in &page {
                checker.see(*id, record);
            }
            match page.last() {
                Some((id, _)) if page.len() == PAGE => after = Some(*id),
                _ => return Ok(checker),
            }
        }
    }

    /// A head that cannot be read is something to tell, not to stop at.
    async fn head_or_fault(&self, trails: &Trails<'_>) -> Result<Result<Option<Head>, String>, VaultError> {
        match self.audit_head(trails).await {
            Ok(head) => Ok(Ok(head)),
            Err(error @ VaultError::Store(_)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

fn begin(head: &Result<Option<Head>, String>) -> Option<Link> {
    head.as_ref().ok()?.as_ref().map(Head::begins_after)
}
