//! Integrations: a tenant's own registrations at providers.

use super::fields::{Draft, Fields};
use super::{Authority, Vault, VaultError, data_keys, keys};
use crate::domain::{ClientSecret, ProviderId, Scopes, TenantId, Timestamp};
use crate::ports::store::{Batch, Guard, Key, Record, Value, Write};
use std::collections::BTreeMap;

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
    /// The secrets that go with it.
    pub secrets: IntegrationSecrets,
    /// What is asked of end users.
    pub scopes: Scopes,
    /// Where end users may return to in the tenant's product.
    pub redirect_urls: Vec<String>,
    /// Values for the provider's variables.
    pub variables: BTreeMap<String, String>,
    /// Who ends an authorization.
    pub finish: Finish,
}

/// The secrets of an integration.
#[derive(Clone, Debug, Default)]
pub struct IntegrationSecrets {
    /// The client secret, where the provider gave one.
    pub client_secret: Option<ClientSecret>,
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
    /// Grows at each change: sessions and grants are bound to it.
    pub rev: u64,
    /// When it was first enabled.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    client_secret: Option<Vec<u8>>,
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

    /// Enables a provider, or replaces what was enabled. True when there was none before.
    pub async fn put(&self, provider: &ProviderId, draft: &IntegrationDraft) -> Result<bool, VaultError> {
        let tenant = self.by.tenant();
        let key = keys::integration(tenant, provider);
        loop {
            let before = self.find(provider).await?;
            let fields = self.fields(provider, draft, before.as_ref()).await?;
            let unchanged = match &before {
                None => Guard::Absent(key.clone()),
                Some(before) => Guard::Rev(key.clone(), before.rev),
            };
            let batch = Batch::new()
                .when(Guard::Present(keys::tenant(tenant)))
                .when(unchanged)
                .then(Write::Put { key: key.clone(), fields, lives: None })
                .then(Write::IndexAdd { index: keys::integrations(tenant), member: provider.to_string() });
            match self.vault.store.apply(batch).await? {
                crate::ports::store::Outcome::Applied(_) => return Ok(before.is_none()),
                crate::ports::store::Outcome::Refused(0, _) => {
                    return Err(VaultError::TenantGone(tenant.to_string()));
                }
                // Somebody else wrote in between: read again.
                crate::ports::store::Outcome::Refused(..) => {}
            }
        }
    }

    /// The secrets of an integration, opened.
    pub async fn secrets(&self, integration: &Integration) -> Result<IntegrationSecrets, VaultError> {
        let key = keys::integration(self.by.tenant(), &integration.provider);
        let Some(sealed) = &integration.client_secret else { return Ok(IntegrationSecrets::default()) };
        let place = (KIND, integration.provider.as_str());
        let sealer = self.vault.sealer(self.by.tenant(), &key, place, Some(sealed)).await?;
        let secret = sealer.open("client_secret", sealed)?;
        Ok(IntegrationSecrets { client_secret: Some(ClientSecret::new(secret.as_str())) })
    }

    async fn fields(
        &self,
        provider: &ProviderId,
        draft: &IntegrationDraft,
        before: Option<&Integration>,
    ) -> Result<Vec<(String, Value)>, VaultError> {
        let key = keys::integration(self.by.tenant(), provider);
        let now = self.vault.clock.now();
        let mut fields = Draft::record()
            .put("provider", provider)
            .put("client_id", &draft.client_id)
            .scopes("scopes", &draft.scopes)
            .put("redirect_urls", serde_json::json!(draft.redirect_urls))
            .map("variables", &draft.variables)
            .put("finish", draft.finish.as_str())
            .time("created_at", before.map_or(now, |before| before.created_at))
            .time("updated_at", now);
        if let Some(secret) = &draft.secrets.client_secret {
            let place = (KIND, provider.as_str());
            let sealer = self.vault.sealer(self.by.tenant(), &key, place, None).await?;
            fields = fields.sealed(sealer.seal("client_secret", secret.expose())?);
        }
        Ok(fields.done())
    }
}

fn read(key: &Key, tenant: &TenantId, record: &Record) -> Result<Integration, VaultError> {
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
        rev: fields.rev(),
        created_at: fields.time("created_at")?,
        updated_at: fields.time("updated_at")?,
        client_secret: fields.bytes("client_secret").map(<[u8]>::to_vec),
    })
}
