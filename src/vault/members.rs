//! Members, found by their address.

use super::fields::Fields;
use super::{Vault, VaultError, keys};
use crate::domain::{EmailAddress, MemberId, TenantId};
use crate::ports::store::{Key, Record};

/// A person with a password in a tenant.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub id: MemberId,
    /// In which tenant.
    pub tenant: TenantId,
    /// Under which address.
    pub email: EmailAddress,
    /// The argon2id hash of the password, as a PHC string.
    pub password_hash: String,
}

/// Members, found by their address.
pub struct Members<'a> {
    vault: &'a Vault,
}

impl<'a> Members<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// The member that owns an address: two round trips, the owner and then the member.
    pub async fn find(&self, email: &EmailAddress) -> Result<Option<Member>, VaultError> {
        let owner = keys::email(email);
        let Some(record) = self.vault.store.get(&owner).await? else { return Ok(None) };
        let fields = Fields::of(&owner, &record)?;
        self.read(&fields.id("tenant")?, &fields.id("member")?).await
    }

    /// The member of those ids: one round trip.
    pub async fn read(&self, tenant: &TenantId, id: &MemberId) -> Result<Option<Member>, VaultError> {
        let key = keys::member(tenant, id);
        let record = self.vault.store.get(&key).await?;
        Ok(record.map(|record| read(&key, tenant, &record)).transpose()?.flatten())
    }
}

/// The address of a member's record.
pub(super) fn address(key: &Key, record: &Record) -> Result<EmailAddress, VaultError> {
    Fields::of(key, record)?.parsed("email", |text| EmailAddress::parse(text).ok())
}

/// None where there is no password any more: its tenant is being deleted.
pub(super) fn read(key: &Key, tenant: &TenantId, record: &Record) -> Result<Option<Member>, VaultError> {
    let fields = Fields::of(key, record)?;
    let Some(password_hash) = fields.optional("password_hash") else { return Ok(None) };
    Ok(Some(Member {
        id: fields.id("id")?,
        tenant: tenant.clone(),
        email: address(key, record)?,
        password_hash: password_hash.to_owned(),
    }))
}
