//! Sign-ups: pending records of their own, and the steps that make one of them a tenant.
//!
//! The steps lie in four partitions and are not atomic together. Each may be repeated, and the link works until the last of
//! them is done: the tenant is written, then the address is claimed, then the pending record goes.

use super::fields::{Draft, Fields};
use super::{Vault, VaultError, keys};
use crate::crypto::hash::sha256_hex;
use crate::domain::{EmailAddress, MemberId, TenantId, Ticket, Timestamp};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Key, Record, Write};
use std::time::Duration;

/// A sign-up that waits for its link to be followed.
#[derive(Clone, Debug)]
pub struct PendingSignUp {
    /// The address to be verified.
    pub email: EmailAddress,
    /// The argon2id hash of this sign-up's own password.
    pub password_hash: String,
    /// The product's name, shown to end users.
    pub product: String,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// What following a link did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The tenant is there and owns the address.
    Activated(TenantId),
    /// The address belongs to somebody; nothing was made.
    AddressTaken,
    /// No such link, or it was used, or it is too old.
    UnknownLink,
}

/// Sign-ups not yet verified.
pub struct SignUps<'a> {
    vault: &'a Vault,
}

impl<'a> SignUps<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Keeps a sign-up under the token of a link, for as long as the link is good. A sign-up may have several links; the
    /// first that is followed counts, and the others then say the same.
    ///
    /// The ids of the tenant to be and of its owner are drawn here, for this link: every step done again makes the same
    /// records, and a link that is left over when the tenant was deleted does not make it again.
    pub async fn keep(
        &self,
        token: &Ticket,
        sign_up: &PendingSignUp,
        lives: Duration,
    ) -> Result<(), VaultError> {
        let (tenant, member): (TenantId, MemberId) = (self.vault.chance.id(), self.vault.chance.id());
        let fields = Draft::record()
            .put("tenant", tenant)
            .put("member", member)
            .put("email", &sign_up.email)
            .put("password_hash", &sign_up.password_hash)
            .put("product", &sign_up.product)
            .time("created_at", sign_up.created_at)
            .done();
        let key = place(token);
        self.vault.store.apply(Batch::new().then(Write::Put { key, fields, lives: Some(lives) })).await?;
        Ok(())
    }

    /// Forgets a link that nobody has been sent.
    pub async fn forget(&self, token: &Ticket) -> Result<(), VaultError> {
        self.vault.store.apply(Batch::new().then(Write::Delete { key: place(token) })).await?;
        Ok(())
    }

    /// The sign-up of a link, unchanged.
    pub async fn find(&self, token: &Ticket) -> Result<Option<PendingSignUp>, VaultError> {
        let key = place(token);
        let record = self.vault.store.get(&key).await?;
        record.map(|record| Ok(read(&key, &record)?.2)).transpose()
    }

    /// Makes the tenant of a link and consumes the link. Of two callers at once, both hear the same.
    pub async fn activate(&self, token: &Ticket) -> Result<Activation, VaultError> {
        let key = place(token);
        let Some(record) = self.vault.store.get(&key).await? else { return Ok(Activation::UnknownLink) };
        let (tenant, member, sign_up) = read(&key, &record)?;
        let shard = keys::tenants_shard(&tenant);
        let listed = Write::IndexAdd { index: shard.clone(), member: tenant.to_string() };
        self.vault.store.apply(Batch::new().then(listed)).await?;
        self.write_tenant(&tenant, &member, &sign_up).await?;
        let made = self.claim(&sign_up, &tenant, &member).await?;
        if made.as_ref() != Some(&tenant) {
            let gone = Batch::new()
                .then(Write::Delete { key: keys::tenant(&tenant) })
                .then(Write::Delete { key: keys::member(&tenant, &member) })
                .then(Write::IndexRemove { index: keys::members(&tenant), member: member.to_string() });
            self.vault.store.apply(gone).await?;
            let unlisted = Write::IndexRemove { index: shard, member: tenant.to_string() };
            self.vault.store.apply(Batch::new().then(unlisted)).await?;
        }
        self.vault.store.apply(Batch::new().then(Write::Delete { key })).await?;
        Ok(made.map_or(Activation::AddressTaken, Activation::Activated))
    }

    async fn write_tenant(
        &self,
        tenant: &TenantId,
        member: &MemberId,
        sign_up: &PendingSignUp,
    ) -> Result<(), VaultError> {
        let now = self.vault.clock.now();
        let tenant_fields = Draft::record()
            .put("id", tenant)
            .put("product", &sign_up.product)
            .put("status", "active")
            .put("data_key", self.vault.new_data_key(tenant)?)
            .time("created_at", now)
            .done();
        let member_fields = Draft::record()
            .put("id", member)
            .put("email", &sign_up.email)
            .put("password_hash", &sign_up.password_hash)
            .put("role", "owner")
            .time("created_at", now)
            .done();
        // Refused where an earlier try wrote it: what lies there is the same but for the data key, which is kept.
        let batch = Batch::new()
            .when(Guard::Absent(keys::tenant(tenant)))
            .then(Write::Put { key: keys::tenant(tenant), fields: tenant_fields, lives: None })
            .then(Write::Put { key: keys::member(tenant, member), fields: member_fields, lives: None })
            .then(Write::IndexAdd { index: keys::members(tenant), member: member.to_string() });
        self.vault.store.apply(batch).await?;
        Ok(())
    }

    /// The tenant that the sign-up made of the address: this one, now or since an earlier try, or that of another of its
    /// links. None where the address is somebody else's.
    async fn claim(
        &self,
        sign_up: &PendingSignUp,
        tenant: &TenantId,
        member: &MemberId,
    ) -> Result<Option<TenantId>, VaultError> {
        let key = keys::email(&sign_up.email);
        let fields = Draft::record().put("tenant", tenant).put("member", member).done();
        let batch = Batch::new().when(Guard::Absent(key.clone())).then(Write::Put {
            key: key.clone(),
            fields,
            lives: None,
        });
        if self.vault.store.apply(batch).await?.applied() {
            return Ok(Some(tenant.clone()));
        }
        let Some(record) = self.vault.store.get(&key).await? else { return Ok(None) };
        let fields = Fields::of(&key, &record)?;
        let owner: TenantId = fields.id("tenant")?;
        if owner == *tenant {
            return Ok(Some(owner));
        }
        // The salt in a hash was drawn for one sign-up, so no other has the same.
        let known = self.vault.members().read(&owner, &fields.id("member")?).await?;
        let same = known.is_some_and(|known| known.password_hash == sign_up.password_hash);
        Ok(same.then_some(owner))
    }
}

fn place(token: &Ticket) -> Key {
    keys::pending_sign_up(&sha256_hex(token.expose().as_bytes()))
}

fn read(key: &Key, record: &Record) -> Result<(TenantId, MemberId, PendingSignUp), VaultError> {
    let fields = Fields::of(key, record)?;
    let sign_up = PendingSignUp {
        email: fields.parsed("email", |text| EmailAddress::parse(text).ok())?,
        password_hash: fields.text("password_hash")?.to_owned(),
        product: fields.text("product")?.to_owned(),
        created_at: fields.time("created_at")?,
    };
    Ok((fields.id("tenant")?, fields.id("member")?, sign_up))
}
