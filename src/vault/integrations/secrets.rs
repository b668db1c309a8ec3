//! The client secrets of an integration: the one in use, and beside it the one before, so that it can be changed here and at
//! the provider in either order and nothing stands still between.

use super::{Integration, IntegrationDraft, Integrations, KIND, unchanged};
use crate::crypto::hash::same;
use crate::domain::{ClientSecret, ProviderId, Timestamp};
use crate::ports::store::{Batch, Guard, Value, Write};
use crate::vault::fields::{Draft, Fields};
use crate::vault::{VaultError, keys};
use std::time::Duration;

/// How long the client secret before this one is kept beside it.
const PREVIOUS_KEPT: Duration = Duration::from_hours(7 * 24);
/// That it was needed is written down this often at most.
const NOTED_EVERY: Duration = Duration::from_mins(1);
/// Fields that only a previous secret has.
const OF_THE_PREVIOUS: [&str; 3] = ["previous_client_secret", "previous_until", "previous_used_at"];

/// What becomes of the client secret when an integration is written.
#[derive(Clone, Debug)]
pub struct SecretDraft {
    /// The client secret from now on.
    pub current: NewSecret,
    /// The one before is not kept.
    pub drop_previous: bool,
}

/// The client secret of an integration that is written.
#[derive(Clone, Debug)]
pub enum NewSecret {
    /// The one there is, if any.
    Same,
    /// This one, or none.
    Given(Option<ClientSecret>),
}

/// The secrets of an integration, opened.
#[derive(Clone, Debug, Default)]
pub struct IntegrationSecrets {
    /// The client secret, where the provider gave one.
    pub client_secret: Option<ClientSecret>,
    /// The one before, where it is still good.
    pub previous: Option<ClientSecret>,
}

/// What there is to know of the client secret before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Until when it is kept.
    pub until: Timestamp,
    /// When the provider last took it in place of the newer one, to the minute; none where it takes the newer one, or was
    /// not asked since the change.
    pub used_at: Option<Timestamp>,
}

/// The secrets as they lie in the store.
#[derive(Clone, Debug, Default)]
pub(super) struct Sealed {
    pub current: Option<Vec<u8>>,
    previous: Option<Vec<u8>>,
}

impl Sealed {
    pub fn read(fields: Fields<'_>) -> Self {
        let bytes = |name| fields.bytes(name).map(<[u8]>::to_vec);
        Self { current: bytes("client_secret"), previous: bytes("previous_client_secret") }
    }
}

pub(super) fn previous(fields: Fields<'_>) -> Result<Option<PreviousSecret>, VaultError> {
    let used_at = fields.maybe_time("previous_used_at")?;
    Ok(fields.maybe_time("previous_until")?.map(|until| PreviousSecret { until, used_at }))
}

impl Integrations<'_> {
    /// The secrets of an integration, opened. A previous one that is past its time is forgotten on the way.
    pub async fn secrets(&self, integration: &Integration) -> Result<IntegrationSecrets, VaultError> {
        let Some(sealed) = &integration.sealed.current else { return Ok(IntegrationSecrets::default()) };
        let client_secret = Some(self.unseal(&integration.provider, "client_secret", sealed).await?);
        let previous = match (&integration.sealed.previous, integration.previous_secret) {
            (Some(sealed), Some(known)) if self.vault.clock.now() < known.until => {
                Some(self.unseal(&integration.provider, "previous_client_secret", sealed).await?)
            }
            (None, None) => None,
            _ => {
                self.forget_previous(integration).await;
                None
            }
        };
        Ok(IntegrationSecrets { client_secret, previous })
    }

    /// Writes down which of two secrets the provider took: the previous one in place of the newer, or the newer again.
    pub async fn was_taken(&self, integration: &Integration, previous: bool) -> Result<(), VaultError> {
        let now = self.vault.clock.now();
        let Some(known) = integration.previous_secret else { return Ok(()) };
        let key = keys::integration(self.by.tenant(), &integration.provider);
        let write = match known.used_at {
            Some(at) if previous && now.since(at) < NOTED_EVERY => return Ok(()),
            None if !previous => return Ok(()),
            _ if previous => {
                Write::Set { key: key.clone(), fields: Draft::some().time("previous_used_at", now).done() }
            }
            _ => Write::Unset { key: key.clone(), fields: vec!["previous_used_at".to_owned()] },
        };
        // Not where it is another one meanwhile.
        let until = known.until.as_millis().to_string().into_bytes();
        let still = Guard::Equals(key, "previous_until".to_owned(), until);
        self.vault.store.apply(Batch::new().when(still).then(write)).await?;
        Ok(())
    }

    /// Its time is over. Whoever does not get to it leaves it to the next: it is not used in any case.
    async fn forget_previous(&self, integration: &Integration) {
        let key = keys::integration(self.by.tenant(), &integration.provider);
        let gone = Write::Unset { key: key.clone(), fields: OF_THE_PREVIOUS.map(str::to_owned).to_vec() };
        let batch = unchanged(Batch::new(), &key, integration).then(gone);
        if let Err(error) = self.vault.store.apply(batch).await {
            tracing::debug!(%error, "a previous client secret is not forgotten yet");
        }
    }

    async fn unseal(
        &self,
        provider: &ProviderId,
        field: &'static str,
        sealed: &[u8],
    ) -> Result<ClientSecret, VaultError> {
        let key = keys::integration(self.by.tenant(), provider);
        let place = (KIND, provider.as_str());
        let sealer = self.vault.sealer(self.by.tenant(), &key, place, Some(sealed)).await?;
        Ok(ClientSecret::new(sealer.open(field, sealed)?.as_str()))
    }

    /// The sealed fields of a record to be written.
    pub(super) async fn seal(
        &self,
        provider: &ProviderId,
        draft: &IntegrationDraft,
        before: Option<&Integration>,
    ) -> Result<Vec<(String, Value)>, VaultError> {
        let (current, old) = match &draft.secret.current {
            NewSecret::Same => {
                let same = self.old_secret(before).await?;
                (same.clone(), same)
            }
            // One that does not open can be replaced, and is not kept.
            NewSecret::Given(secret) => match self.old_secret(before).await {
                Err(VaultError::DoesNotOpen { .. }) => (secret.clone(), None),
                old => (secret.clone(), old?),
            },
        };
        let Some(current) = current else { return Ok(Vec::new()) };
        let key = keys::integration(self.by.tenant(), provider);
        let place = (KIND, provider.as_str());
        let sealer = self.vault.sealer(self.by.tenant(), &key, place, None).await?;
        let mut fields = vec![sealer.seal("client_secret", current.expose())?];
        // A secret goes with its client id.
        let before =
            before.filter(|before| before.client_id == draft.client_id && !draft.secret.drop_previous);
        let (Some(before), Some(old)) = (before, old) else { return Ok(fields) };
        let changed = !same(old.expose().as_bytes(), current.expose().as_bytes());
        let now = self.vault.clock.now();
        let kept = before.previous_secret.filter(|known| now < known.until);
        // Where the one in between never worked, it is the one before it that the provider knows.
        match (kept, &before.sealed.previous) {
            (Some(known), Some(sealed)) if !changed || known.used_at.is_some() => {
                let previous = self.unseal(provider, "previous_client_secret", sealed).await?;
                fields.push(sealer.seal("previous_client_secret", previous.expose())?);
                let until = if changed { now.plus(PREVIOUS_KEPT) } else { known.until };
                let draft =
                    Draft::some().time("previous_until", until).maybe_time("previous_used_at", known.used_at);
                fields.extend(draft.done());
            }
            _ if changed => {
                fields.push(sealer.seal("previous_client_secret", old.expose())?);
                fields.extend(Draft::some().time("previous_until", now.plus(PREVIOUS_KEPT)).done());
            }
            _ => {}
        }
        Ok(fields)
    }

    async fn old_secret(&self, before: Option<&Integration>) -> Result<Option<ClientSecret>, VaultError> {
        let Some(before) = before else { return Ok(None) };
        let Some(sealed) = &before.sealed.current else { return Ok(None) };
        self.unseal(&before.provider, "client_secret", sealed).await.map(Some)
    }
}
