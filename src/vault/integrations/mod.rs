//! Integrations: a tenant's own registrations at providers.
//!
//! `secrets` is what of them is sealed, this file everything else. Sessions are bound to the revision of an integration,
//! which is drawn anew at each change, so that one that was removed and enabled again is another.

mod secrets;

pub use secrets::{IntegrationSecrets, NewSecret, PreviousSecret, SecretDraft};

use super::fields::{Draft, Fields};
use super::tenants::still_active;
use super::{Authority, Vault, VaultError, data_keys, events, keys};
use crate::domain::{Event, EventKind, ProviderId, Scopes, TenantId, Timestamp};
use crate::ports::ChanceExt;
use crate::ports::store::{Batch, Guard, Key, Outcome, Record, Value, Write};
use secrets::Sealed;
use std::collections::BTreeMap;
use std::time::Duration;

const KIND: &str = "integration";

/// Who ends an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The tenant's backend, with the end user of its own login session.
    Backend,
    /// The end user, on a page of ours, who is told for whom it is.
    Page,
}

impl Finish {
    /// The word in requests and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backend => "backend",
            Self::Page => "page",
        }
    }

    /// The finish of that word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Backend, Self::Page].into_iter().find(|finish| finish.as_str() == text)
    }
}

/// What a tenant gives to enable a provider.
#[derive(Clone, Debug)]
pub struct IntegrationDraft {
    /// The client id at the provider.
    pub client_id: String,
    /// The client secret, and what becomes of the one before.
    pub secret: SecretDraft,
    /// What is asked of end users.
    pub scopes: Scopes,
    /// Where end users may return to in the tenant's product.
    pub redirect_urls: Vec<String>,
    /// Values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// Who ends an authorization.
    pub finish: Finish,
}

/// An integration as it is kept. Its secrets stay sealed until asked for.
#[derive(Clone, Debug)]
pub struct Integration {
    /// At which provider.
    pub provider: ProviderId,
    /// The client id there.
    pub client_id: String,
    /// What is asked of end users.
    pub scopes: Scopes,
    /// Where end users may return to.
    pub redirect_urls: Vec<String>,
    /// Values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// Who ends an authorization.
    pub finish: Finish,
    /// Another one at each change: sessions are bound to it.
    pub rev: u64,
    /// The client secret before this one, where it is still good.
    pub previous_secret: Option<PreviousSecret>,
    /// Since when the provider does not take it, and what it said.
    pub misconfigured: Option<(Timestamp, String)>,
    /// When it was first enabled.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The revision of the record, which grows at each write of it.
    stored: u64,
    sealed: Sealed,
}

impl Integration {
    /// True when it has a client secret.
    pub fn has_client_secret(&self) -> bool {
        self.sealed.current.is_some()
    }
}

/// The integrations of one tenant.
pub struct Integrations<'a> {
    vault: &'a Vault,
    by: &'a Authority,
}

impl<'a> Integrations<'a> {
    pub(super) fn new(vault: &'a Vault, by: &'a Authority) -> Self {
        Self { vault, by }
    }

    /// The integration of a provider.
    pub async fn find(&self, provider: &ProviderId) -> Result<Option<Integration>, VaultError> {
        let key = keys::integration(self.by.tenant(), provider);
        let record = self.vault.store.get(&key).await?;
        record.map(|record| read(&key, self.by.tenant(), &record)).transpose()
    }

    /// Integrations in the order of their providers' ids, after that one, `limit` at most; and the position reached, where
    /// there may be more.
    pub async fn list(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Integration>, Option<String>), VaultError> {
        let tenant = self.by.tenant();
        let members = self.vault.store.scan(&keys::integrations(tenant), "", after, limit).await?;
        let providers = members.iter().filter_map(|member| ProviderId::parse(member));
        let names: Vec<Key> = providers.map(|provider| keys::integration(tenant, &provider)).collect();
        let records = self.vault.store.get_many(&names.iter().collect::<Vec<_>>()).await?;
        let found = names.iter().zip(records).filter_map(|(key, record)| Some(read(key, tenant, &record?)));
        let next = (members.len() == limit).then(|| members.last().cloned()).flatten();
        Ok((found.collect::<Result<_, _>>()?, next))
    }

    /// Enables a provider, or replaces what was enabled. True when there was none before.
    pub async fn put(&self, provider: &ProviderId, draft: &IntegrationDraft) -> Result<bool, VaultError> {
        loop {
            let before = self.find(provider).await?;
            // Where somebody else wrote in between: read again.
            if self.write(provider, draft, before.as_ref()).await? {
                return Ok(before.is_none());
            }
        }
    }

    /// Replaces what was read. False, and nothing changed, when somebody else wrote in between.
    pub async fn replace(&self, before: &Integration, draft: &IntegrationDraft) -> Result<bool, VaultError> {
        self.write(&before.provider, draft, Some(before)).await
    }

    /// Forgets an integration and its secrets. False where there is none.
    pub async fn remove(&self, provider: &ProviderId) -> Result<bool, VaultError> {
        let tenant = self.by.tenant();
        let key = keys::integration(tenant, provider);
        let batch = Batch::new()
            .when(Guard::Present(key.clone()))
            .then(Write::Delete { key })
            .then(Write::IndexRemove { index: keys::integrations(tenant), member: provider.to_string() });
        Ok(self.vault.store.apply(batch).await?.applied())
    }

    /// The provider does not take this registration. Told once, until it is changed or taken again.
    pub async fn is_refused(&self, read: &Integration, error: &str) -> Result<(), VaultError> {
        if read.misconfigured.is_some() {
            return Ok(());
        }
        let (tenant, provider) = (self.by.tenant(), &read.provider);
        let key = keys::integration(tenant, provider);
        let fields = Draft::some()
            .raw("misconfigured_since", Value::Now(Duration::ZERO))
            .put("misconfigured_error", error)
            .done();
        let event = Event::new(EventKind::IntegrationMisconfigured)
            .about("provider", provider)
            .about("client_id", &read.client_id)
            .about("error", error);
        let batch = unchanged(Batch::new(), &key, read).then(Write::Set { key, fields });
        // Refused where it was changed meanwhile, or somebody else told it.
        self.vault.store.apply(events::tell(batch, tenant, &[event])).await?;
        Ok(())
    }

    /// The provider takes this registration again.
    pub async fn is_taken(&self, read: &Integration) -> Result<(), VaultError> {
        if read.misconfigured.is_none() {
            return Ok(());
        }
        let key = keys::integration(self.by.tenant(), &read.provider);
        let fields = ["misconfigured_since", "misconfigured_error"].map(str::to_owned).to_vec();
        let batch = unchanged(Batch::new(), &key, read).then(Write::Unset { key, fields });
        self.vault.store.apply(batch).await?;
        Ok(())
    }

    async fn write(
        &self,
        provider: &ProviderId,
        draft: &IntegrationDraft,
        before: Option<&Integration>,
    ) -> Result<bool, VaultError> {
        let tenant = self.by.tenant();
        let key = keys::integration(tenant, provider);
        let fields = self.fields(provider, draft, before).await?;
        let batch = Batch::new().when(still_active(tenant));
        let batch = match before {
            None => batch.when(Guard::Absent(key.clone())),
            Some(before) => unchanged(batch, &key, before),
        };
        let batch = batch
            .then(Write::Put { key, fields, lives: None })
            .then(Write::IndexAdd { index: keys::integrations(tenant), member: provider.to_string() });
        match self.vault.store.apply(batch).await? {
            Outcome::Applied(_) => Ok(true),
            Outcome::Refused(0, _) => Err(VaultError::TenantGone(tenant.to_string())),
            Outcome::Refused(..) => Ok(false),
        }
    }

    async fn fields(
        &self,
        provider: &ProviderId,
        draft: &IntegrationDraft,
        before: Option<&Integration>,
    ) -> Result<Vec<(String, Value)>, VaultError> {
        let now = self.vault.clock.now();
        let fields = Draft::record()
            .put("provider", provider)
            .put("client_id", &draft.client_id)
            .scopes("scopes", &draft.scopes)
            .put("redirect_urls", serde_json::json!(draft.redirect_urls))
            .map("variables", &draft.variables)
            .put("finish", draft.finish.as_str())
            .put("revision", u64::from_be_bytes(self.vault.chance.bytes()))
            .time("created_at", before.map_or(now, |before| before.created_at))
            .time("updated_at", now);
        let sealed = self.seal(provider, draft, before).await?;
        Ok(sealed.into_iter().fold(fields, Draft::sealed).done())
    }
}

/// Guards that the record is the one that was read. When it was made, too: revisions of records begin anew with a record.
fn unchanged(batch: Batch, key: &Key, read: &Integration) -> Batch {
    let made = read.created_at.as_millis().to_string().into_bytes();
    batch.when(Guard::Rev(key.clone(), read.stored)).when(Guard::Equals(
        key.clone(),
        "created_at".to_owned(),
        made,
    ))
}

pub(super) fn read(key: &Key, tenant: &TenantId, record: &Record) -> Result<Integration, VaultError> {
    let fields = Fields::of(key, record)?;
    let provider = fields.parsed("provider", ProviderId::parse)?;
    if *key != keys::integration(tenant, &provider) {
        data_keys::alarm(key.name(), "provider");
        return Err(fields.fault("provider", "is another's: the record was moved"));
    }
    Ok(Integration {
        provider,
        client_id: fields.text("client_id")?.to_owned(),
        scopes: fields.scopes("scopes")?,
        redirect_urls: fields.parsed("redirect_urls", |text| serde_json::from_str(text).ok())?,
        variables: fields.map("variables")?,
        finish: fields.parsed("finish", Finish::parse)?,
        rev: fields.maybe("revision", |text| text.parse().ok())?.unwrap_or_else(|| fields.rev()),
        previous_secret: secrets::previous(fields)?,
        misconfigured: match fields.optional("misconfigured_error") {
            None => None,
            Some(error) => Some((fields.time("misconfigured_since")?, error.to_owned())),
        },
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        stored: fields.rev(),
        sealed: Sealed::read(fields),
    })
}
