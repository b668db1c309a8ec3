//! The broker: we as an OAuth client on behalf of tenants.
//!
//! It joins the vault (what is kept) and the wire (what is said) through the ports. It knows nothing of HTTP servers, of mail
//! or of how a caller proved who it is: callers come as an [`Authority`].

mod audit;
mod authorize;
mod call;
mod callback;
mod client;
mod connections;
mod epoch;
mod events;
mod exchange;
mod handout;
mod hosts;
mod imports;
mod integrations;
mod leaving;
mod page;
mod profile;
mod refresh;
mod sparse;
mod status;

pub use authorize::{Begin, Begun, Opened, SessionCookie};
pub use callback::Arrival;
pub use connections::Revocation;
pub use exchange::Complete;
pub use handout::{Handout, RefreshState, Wish};
pub use hosts::HostSettings;
pub use imports::Import;
pub use integrations::{Change, Enable, Enabled};
pub use leaving::Deletion;
pub use page::{Asked, Refused, Start, Way};
pub use refresh::AheadSettings;

use crate::catalog::{Catalog, Provider};
use crate::domain::{Deed, HandoutRecords, InstanceId, ProviderId, Refusal, TenantId};
use crate::ports::{Chance, ChanceExt, Clock, Outages, Pages, Tasks, Upstream};
use crate::vault::{Authority, Integration, Vault, VaultError};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a store that does not take what a provider gave is asked again.
const PATIENCE: Duration = Duration::from_mins(1);

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// What browsers and providers see; the root of callback URLs and links.
    pub public_url: Url,
    /// For one request to a provider, from the first look-up to the last byte.
    pub upstream_timeout: Duration,
    /// How much longer than that an attempt to refresh is left alone by others.
    pub attempt_slack: Duration,
    /// How long a caller waits for another instance's refresh.
    pub wait: Duration,
    /// The first pause after a failed refresh; doubled at each further one.
    pub backoff_min: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long attempts past their deadline are left alone after the store came back, or after the start.
    pub rest: Duration,
    /// How providers' hosts are spared.
    pub hosts: HostSettings,
    /// What is done without being asked.
    pub ahead: AheadSettings,
    /// How many connections this server refreshes at once without being asked.
    pub ahead_at_once: usize,
    /// No refresh that spends a refresh token: the store is a restored backup.
    pub hold: bool,
    /// How often it is looked whether the store is as far as it was.
    pub epoch: Duration,
    /// When hand-outs are recorded.
    pub handouts: HandoutRecords,
    /// This server's own id.
    pub instance: InstanceId,
}

/// The ports that the broker works through.
#[derive(Clone)]
#[expect(missing_docs, reason = "each is the port of that name")]
pub struct BrokerPorts {
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    pub upstream: Arc<dyn Upstream>,
    pub outages: Arc<Outages>,
    pub spill: Arc<dyn Pages>,
    pub memory: Arc<dyn Pages>,
    pub tasks: Tasks,
}

/// We as an OAuth client on behalf of tenants.
pub struct Broker {
    vault: Arc<Vault>,
    catalog: Catalog,
    ports: BrokerPorts,
    settings: BrokerSettings,
    flights: Arc<refresh::Flights>,
    hosts: hosts::Hosts,
    /// New tokens that the store has not taken yet.
    pending: refresh::Pending,
    /// New tokens that it took lately.
    recent: refresh::Recent,
    /// Whose use was written down lately.
    uses: refresh::Uses,
    /// Who waits for other instances.
    waiting: refresh::Waiting,
    epoch: epoch::Watch,
}

impl Broker {
    /// A broker over a vault and a catalog.
    pub fn new(vault: Arc<Vault>, catalog: Catalog, ports: BrokerPorts, settings: BrokerSettings) -> Self {
        let (flights, pending, recent, uses, waiting, epoch) = Default::default();
        let hosts = hosts::Hosts::new(settings.hosts);
        Self { vault, catalog, ports, settings, flights, hosts, pending, recent, uses, waiting, epoch }
    }

    /// What is known about providers.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn provider(&self, id: &ProviderId) -> Result<Arc<Provider>, Refusal> {
        let found = self.catalog.get(id).map(Arc::clone);
        found.ok_or_else(|| Refusal::NotFound { what: format!("a provider `{id}`") })
    }

    /// The tenant's own registration at a provider.
    pub async fn integration(&self, by: &Authority, provider: &ProviderId) -> Result<Integration, Refusal> {
        let found = self.vault.integrations(by).find(provider).await?;
        found.ok_or_else(|| integrations::not_enabled(provider))
    }

    /// Writes a deed into the audit trail. What was done stays done where that fails.
    async fn note(&self, by: &Authority, deed: Deed) {
        let action = deed.action.as_str();
        if let Err(error) = self.vault.audit(by).record(deed).await {
            tracing::error!(tenant = %by.tenant(), action, %error, "a deed is not in the audit trail");
        }
    }

    /// Asks the store again and again where it does not answer: what came back from a provider cannot be had again. `keep` may
    /// be called after any error, and then does what it did not do.
    async fn insist<T, F>(&self, what: &'static str, keep: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, VaultError>>,
    {
        let began = self.ports.clock.monotonic();
        let mut pause = Duration::from_millis(20);
        loop {
            let waited = self.ports.clock.monotonic().saturating_sub(began);
            match keep().await {
                Err(VaultError::Store(error)) if waited < PATIENCE => {
                    tracing::error!(%error, what, "not stored yet");
                }
                kept => return Ok(kept?),
            }
            tokio::time::sleep(self.jittered(pause)).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }

    /// Between half of `span` and all of it: so that many do not come at once.
    fn jittered(&self, span: Duration) -> Duration {
        span / 2 + span * u32::from(self.dice()) / 512
    }

    /// From 0 to 255.
    fn dice(&self) -> u8 {
        self.ports.chance.bytes::<1>()[0]
    }

    /// Where a provider sends browsers back to; the tenant registers it there.
    pub fn callback_url(&self, tenant: &TenantId, provider: &ProviderId) -> Url {
        let mut url = self.settings.public_url.clone();
        url.set_path(&format!("/authorization-success/{tenant}/{provider}"));
        url
    }
}
