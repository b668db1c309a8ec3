//! Links to set a new password: records under the hash of their token, each good for the password it is to replace.
//!
//! A link names the SHA-256 of the password hash that was there when it was made. Whatever changes the password, this link
//! or another one, ends all of the member's links at once, with nothing to be searched for and removed (OWASP Forgot
//! Password cheat sheet: single use, and all other links end).

use super::fields::{Draft, Fields};
use super::{Member, Vault, VaultError, keys, members};
use crate::crypto::hash::{same, sha256_hex};
use crate::domain::{MemberId, TenantId, Ticket};
use crate::ports::store::{Batch, Guard, Key, StoreError, Write};
use std::time::Duration;

/// A link that is good, and whom it is for.
#[derive(Clone, Debug)]
pub struct PasswordReset {
    /// Whose password.
    pub member: Member,
    /// The name of the tenant's product, which the new password must not be made of.
    pub product: String,
    /// The record of the link.
    key: Key,
}

/// Links to set a new password.
pub struct PasswordResets<'a> {
    vault: &'a Vault,
}

impl<'a> PasswordResets<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// Keeps a link for `member` for as long as it is good.
    pub async fn keep(&self, token: &Ticket, member: &Member, lives: Duration) -> Result<(), VaultError> {
        let fields = Draft::record()
            .put("tenant", &member.tenant)
            .put("member", &member.id)
            .put("replaces", fingerprint(member))
            .done();
        let put = Write::Put { key: place(token), fields, lives: Some(lives) };
        self.vault.store.apply(Batch::new().then(put)).await?;
        Ok(())
    }

    /// Forgets a link that nobody has been sent.
    pub async fn forget(&self, token: &Ticket) -> Result<(), VaultError> {
        self.vault.store.apply(Batch::new().then(Write::Delete { key: place(token) })).await?;
        Ok(())
    }

    /// The link of a token, unchanged; none where it is unknown, too old, or the password is another one by now.
    pub async fn find(&self, token: &Ticket) -> Result<Option<PasswordReset>, VaultError> {
        let key = place(token);
        let Some(record) = self.vault.store.get(&key).await? else { return Ok(None) };
        let fields = Fields::of(&key, &record)?;
        let (tenant, id) = (fields.id::<TenantId>("tenant")?, fields.id::<MemberId>("member")?);
        let (at_member, at_tenant) = (keys::member(&tenant, &id), keys::tenant(&tenant));
        let mut records = self.vault.store.get_many(&[&at_member, &at_tenant]).await?.into_iter();
        let (Some(member), Some(owner)) = (records.next().flatten(), records.next().flatten()) else {
            return Ok(None);
        };
        let Some(member) = members::read(&at_member, &tenant, &member)? else { return Ok(None) };
        let product = Fields::of(&at_tenant, &owner)?.text("product")?.to_owned();
        let good = same(fields.text("replaces")?.as_bytes(), fingerprint(&member).as_bytes());
        Ok(good.then_some(PasswordReset { member, product, key }))
    }

    /// Sets the new password and consumes the link. False where the password is another one by now: of two links, or two
    /// callers with one, the first counts.
    pub async fn set(&self, reset: &PasswordReset, password_hash: &str) -> Result<bool, VaultError> {
        let Member { tenant, id, password_hash: old, .. } = &reset.member;
        let key = keys::member(tenant, id);
        let fields = Draft::some().put("password_hash", password_hash).done();
        let batch = Batch::new()
            .when(Guard::Present(keys::tenant(tenant)))
            .when(Guard::Equals(key.clone(), "password_hash".to_owned(), old.clone().into_bytes()))
            .then(Write::Set { key, fields });
        let done = match self.vault.store.apply(batch).await {
            Ok(outcome) => outcome.applied(),
            // The answer was lost: the record says whether it happened.
            Err(StoreError::OutcomeUnknown(_)) => {
                let now = self.vault.members().read(tenant, id).await?;
                now.is_some_and(|now| now.password_hash == password_hash)
            }
            Err(error) => return Err(error.into()),
        };
        // What stays where this fails is good for nothing any more, and expires.
        let gone = Batch::new().then(Write::Delete { key: reset.key.clone() });
        if let Err(error) = self.vault.store.apply(gone).await {
            tracing::debug!(%error, "a used link stays until it expires");
        }
        Ok(done)
    }
}

fn place(token: &Ticket) -> Key {
    keys::password_reset(&sha256_hex(token.expose().as_bytes()))
}

/// Names a password hash and tells nothing of it.
fn fingerprint(member: &Member) -> String {
    sha256_hex(member.password_hash.as_bytes())
}
