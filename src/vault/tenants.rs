//! Tenants as they see themselves: their own record. How one goes is in [`super::leaving`].

use super::fields::{Draft, Fields};
use super::{Authority, Vault, VaultError, keys};
use crate::domain::{TenantId, Timestamp};
use crate::ports::store::{Batch, Guard, Key, Record, Write};

pub(super) const ACTIVE: &str = "active";
pub(super) const DELETING: &str = "deleting";

/// Where a tenant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantStatus {
    /// It can be used.
    Active,
    /// It is being deleted.
    Deleting,
}

impl TenantStatus {
    /// The word in answers and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => ACTIVE,
            Self::Deleting => DELETING,
        }
    }

    /// The status of that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Deleting].into_iter().find(|status| status.as_str() == text)
    }
}

/// A tenant as it is kept, without its data keys.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Which.
    pub id: TenantId,
    /// The product's name, shown to end users; may be empty.
    pub product: String,
    /// Where it stands.
    pub status: TenantStatus,
    /// When its sign-up was verified.
    pub created_at: Timestamp,
}

/// The record of one tenant.
pub struct Tenants<'a> {
    vault: &'a Vault,
    by: &'a Authority,
}

impl<'a> Tenants<'a> {
    pub(super) fn new(vault: &'a Vault, by: &'a Authority) -> Self {
        Self { vault, by }
    }

    /// The tenant; none where it went since the proof.
    pub async fn find(&self) -> Result<Option<Tenant>, VaultError> {
        let key = keys::tenant(self.by.tenant());
        let record = self.vault.store.get(&key).await?;
        record.map(|record| read(&key, &record)).transpose()
    }

    /// Gives the product another name. False where the tenant is gone or going.
    pub async fn rename(&self, product: &str) -> Result<bool, VaultError> {
        let tenant = self.by.tenant();
        let fields = Draft::some().put("product", product).done();
        let batch =
            Batch::new().when(still_active(tenant)).then(Write::Set { key: keys::tenant(tenant), fields });
        Ok(self.vault.store.apply(batch).await?.applied())
    }
}

/// Guards that a tenant is there and not being deleted: nothing new comes into one that goes.
pub(super) fn still_active(tenant: &TenantId) -> Guard {
    Guard::Equals(keys::tenant(tenant), "status".to_owned(), ACTIVE.into())
}

pub(super) fn read(key: &Key, record: &Record) -> Result<Tenant, VaultError> {
    let fields = Fields::of(key, record)?;
    Ok(Tenant {
        id: fields.id("id")?,
        product: fields.text("product")?.to_owned(),
        status: fields.parsed("status", TenantStatus::parse)?,
        created_at: fields.time("created_at")?,
    })
}
