//! What is left of a limit that all servers of a store count together: when it will be whole again.

use super::fields::{Draft, Fields};
use super::{Vault, VaultError, keys};
use crate::domain::Timestamp;
use crate::ports::store::{Batch, Guard, Write};
use std::time::Duration;

/// One budget, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// When it is whole again; in the past where it is.
    pub full_at: Timestamp,
    /// The revision of its record; none where there is none, and all is left.
    rev: Option<u64>,
}

/// The budgets of a store.
pub struct Budgets<'a> {
    vault: &'a Vault,
}

impl<'a> Budgets<'a> {
    pub(super) fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// The budget of that kind and name. The name lies in the store as a hash.
    pub async fn read(&self, kind: &str, name: &str) -> Result<Budget, VaultError> {
        let key = keys::budget(kind, name);
        Ok(match self.vault.store.get(&key).await? {
            None => Budget { full_at: Timestamp::from_millis(0), rev: None },
            Some(record) => {
                let fields = Fields::of(&key, &record)?;
                Budget { full_at: fields.time("full_at")?, rev: Some(fields.rev()) }
            }
        })
    }

    /// Puts another time in its place; false where somebody did so since it was read. It is forgotten after `lives`.
    pub async fn write(
        &self,
        (kind, name): (&str, &str),
        read: Budget,
        full_at: Timestamp,
        lives: Duration,
    ) -> Result<bool, VaultError> {
        let key = keys::budget(kind, name);
        let unchanged = match read.rev {
            Some(rev) => Guard::Rev(key.clone(), rev),
            None => Guard::Absent(key.clone()),
        };
        let fields = Draft::record().time("full_at", full_at).done();
        let put = Write::Put { key, fields, lives: Some(lives) };
        Ok(self.vault.store.apply(Batch::new().when(unchanged).then(put)).await?.applied())
    }
}
