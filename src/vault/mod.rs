//! The vault: the only place where plaintext meets storage, and where records have types.
//!
//! The store below is not trusted: it sees sealed bytes, each bound to its place. The rooms above hold an [`Authority`] and
//! cannot name another tenant's record. This room knows nothing of HTTP, of providers or of how anybody proved who they are.

mod api_keys;
mod audit;
mod authority;
mod budgets;
mod compact;
mod connections;
mod data_keys;
mod due;
mod envelope;
mod epoch;
mod error;
mod events;
mod fields;
mod hot;
mod integrations;
mod keyring;
mod keys;
mod leaving;
mod mails;
mod members;
mod product;
mod resets;
mod rotation;
mod schema;
mod sessions;
mod sign_ups;
mod tenants;
mod walk;

pub use api_keys::{ApiKey, ApiKeyLimits, ApiKeys};
pub use audit::{Audit, AuditFilter, AuditOptions, AuditRecord, HeadsLog, TrailFault, Verified};
pub use authority::{Authority, Unproven};
pub use budgets::Budgets;
pub use connections::{
    Attempt, Brought, Committed, Connection, ConnectionFilter, Connections, Doubt, Failure, Fresh, Identity,
    MoreToken, NewGrant, Plan, Slot, Spilled, Status, Tokens, Trouble,
};
pub use data_keys::HeldKeys;
pub use due::{Due, DueHint, DueSlot};
pub use epoch::{Epoch, Epochs, Hold, Judgement, Reached, judge};
pub use error::VaultError;
pub use events::{EventFilter, EventRecord, Events};
pub use hot::HotOptions;
pub use integrations::{
    Finish, Integration, IntegrationDraft, IntegrationSecrets, Integrations, NewSecret, PreviousSecret,
    SecretDraft,
};
pub use keyring::Keyring;
pub use leaving::{Going, Leaving};
pub use mails::{Letter, MailDraft, Mails, QueuedMail, WaitingMail};
pub use members::{Member, Members};
pub use resets::{PasswordReset, PasswordResets};
pub use rotation::{MasterKeys, Survey};
pub use schema::{FieldKind, RECORDS, RecordSchema};
pub use sessions::{Completing, ExchangeInputs, Kept, NewSession, Opening, Session, SessionState, Sessions};
pub use sign_ups::{Activation, PendingSignUp, SignUps};
pub use tenants::{Tenant, TenantStatus, Tenants};

use crate::domain::{ApiKeyId, TenantId};
use crate::ports::store::{Notice, Store, StoreError};
use crate::ports::{Chance, Clock};
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// What a hand-out from a slot goes by.
#[derive(Clone, Debug)]
pub struct SlotRead {
    /// What is in the slot.
    pub connection: Option<Arc<Connection>>,
    /// Whether the tenant has the provider enabled.
    pub enabled: bool,
    /// The store could not be asked, and this is what was known.
    pub stale: bool,
}

impl SlotRead {
    fn of(connection: Option<hot::Kept>, integration: Option<&hot::Kept>, stale: bool) -> Self {
        let connection = connection.and_then(hot::Kept::connection);
        Self { connection, enabled: integration.is_some(), stale }
    }
}

/// A slot that is to be read along with something else.
#[derive(Clone, Copy, Debug)]
pub struct Along<'a> {
    /// Which.
    pub slot: &'a Slot,
    /// What is kept of its connection will not do.
    pub anew: bool,
}

/// Everything that is kept, behind types.
pub struct Vault {
    /// What is below `hot`: a write here is a write there.
    store: Arc<dyn Store>,
    hot: Arc<hot::Hot>,
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    keyring: Keyring,
    data_keys: data_keys::Cache,
    trail: OnceLock<Arc<audit::Trail>>,
    spool: OnceLock<Arc<audit::Spool>>,
    hints: due::Hints,
    /// Whether each refresh is an event.
    tells_refreshes: bool,
}

impl Vault {
    /// A vault over `store`, opened by `keyring`.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        chance: Arc<dyn Chance>,
        keyring: Keyring,
    ) -> Self {
        let (data_keys, hints) = (data_keys::Cache::new(), due::Hints::new());
        let (trail, spool) = (OnceLock::new(), OnceLock::new());
        let hot = Arc::new(hot::Hot::new(store, Arc::clone(&clock), HotOptions::default()));
        let store: Arc<dyn Store> = hot.clone();
        Self { store, hot, clock, chance, keyring, data_keys, trail, spool, hints, tells_refreshes: false }
    }

    /// Keeps what hand-outs read; goes with [`Self::heed`], without which nothing would be kept on a store that several share.
    #[must_use]
    pub fn keeping(mut self, options: HotOptions) -> Self {
        self.hot = Arc::new(hot::Hot::new(self.hot.below(), Arc::clone(&self.clock), options));
        self.store = self.hot.clone();
        self
    }

    /// Makes an event of each refresh, too.
    #[must_use]
    pub fn telling_refreshes(mut self, wanted: bool) -> Self {
        self.tells_refreshes = wanted;
        self
    }

    /// The connections of the tenant that `by` proves.
    pub fn connections<'a>(&'a self, by: &'a Authority) -> Connections<'a> {
        Connections::new(self, by)
    }

    /// The integrations of the tenant that `by` proves.
    pub fn integrations<'a>(&'a self, by: &'a Authority) -> Integrations<'a> {
        Integrations::new(self, by)
    }

    /// The API keys of the tenant that `by` proves.
    pub fn api_keys<'a>(&'a self, by: &'a Authority) -> ApiKeys<'a> {
        ApiKeys::new(self, by)
    }

    /// The audit trail of the tenant that `by` proves.
    pub fn audit<'a>(&'a self, by: &'a Authority) -> Audit<'a> {
        Audit::new(self, by)
    }

    /// The events of the tenant that `by` proves.
    pub fn events<'a>(&'a self, by: &'a Authority) -> Events<'a> {
        Events::new(self, by)
    }

    /// The record of the tenant that `by` proves.
    pub fn tenant<'a>(&'a self, by: &'a Authority) -> Tenants<'a> {
        Tenants::new(self, by)
    }

    /// Tenants that are being deleted.
    pub fn leaving(&self) -> Leaving<'_> {
        Leaving::new(self)
    }

    /// What is due, over all tenants.
    pub fn due(&self) -> Due<'_> {
        Due::new(self)
    }

    /// How far the store is.
    pub fn epoch(&self) -> Epochs<'_> {
        Epochs::new(self)
    }

    /// Pending authorizations.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions::new(self)
    }

    /// Sign-ups not yet verified.
    pub fn sign_ups(&self) -> SignUps<'_> {
        SignUps::new(self)
    }

    /// Mails that wait to be handed over.
    pub fn mails(&self) -> Mails<'_> {
        Mails::new(self)
    }

    /// Links to set a new password.
    pub fn password_resets(&self) -> PasswordResets<'_> {
        PasswordResets::new(self)
    }

    /// What is left of limits that all servers count together.
    pub fn budgets(&self) -> Budgets<'_> {
        Budgets::new(self)
    }

    /// People, by address.
    pub fn members(&self) -> Members<'_> {
        Members::new(self)
    }

    /// The master keys, and what lies under them.
    pub fn master_keys(&self) -> MasterKeys<'_> {
        MasterKeys::new(self)
    }

    /// An API key's record and, where asked for, what a hand-out from a slot goes by: one round trip at most, nothing proven
    /// yet.
    pub async fn key_and_slot(
        &self,
        tenant: &TenantId,
        id: &ApiKeyId,
        along: Option<Along<'_>>,
    ) -> Result<(Option<Arc<ApiKey>>, Option<Unproven<SlotRead>>), VaultError> {
        let key = keys::api_key(tenant, id);
        let Some(Along { slot, anew }) = along else {
            let record = self.store.get(&key).await?;
            return Ok((record.map(|r| api_keys::read(&key, &r)).transpose()?.map(Arc::new), None));
        };
        let (place, integration) =
            (keys::connection(tenant, slot), keys::integration(tenant, &slot.provider));
        let hot::Recalled { found: [key, connection, enabled], stale } = self
            .hot
            .recall([(&key).into(), hot::Wanted { key: &place, anew }, (&integration).into()])
            .await?;
        let read = SlotRead::of(connection, enabled.as_ref(), stale);
        Ok((key.and_then(hot::Kept::api_key), Some(Unproven::new(tenant.clone(), read))))
    }

    /// True while the store did not answer when it was last asked, and what was known will do.
    pub fn goes_on_without_store(&self) -> bool {
        !self.hot.grace().is_zero()
    }

    /// Looks, after an error of a write, whether the store can be reached at all; true where it cannot, and what was known
    /// will do. A store that answers reads and takes no writes, a full one for instance, is there.
    pub async fn lost_the_store(&self, error: &VaultError) -> bool {
        let maybe =
            matches!(error, VaultError::Store(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)));
        if maybe && self.store.get(&keys::epoch()).await.is_err() {
            self.hot.lost();
            return self.goes_on_without_store();
        }
        false
    }

    /// Forgets what is kept when the store tells of it, as long as `runtime` runs. To be called once.
    pub fn heed(self: &Arc<Self>, runtime: &Handle) {
        let Some(mut told) = self.listen(runtime) else { return };
        let vault = Arc::downgrade(self);
        runtime.spawn(async move {
            loop {
                let notice = told.recv().await;
                let Some(vault) = vault.upgrade() else { return };
                match notice {
                    Ok(Notice::Changed(name)) => vault.forget(&name),
                    Ok(Notice::Missed) => vault.hot.missed(),
                    Err(RecvError::Lagged(_)) => vault.hot.forget_all(),
                    Err(RecvError::Closed) => return,
                }
            }
        });
    }

    fn forget(&self, name: &str) {
        self.hot.forget(name);
        if let Some(tenant) = keys::tenant_of(name) {
            self.data_keys.forget(&tenant);
        }
    }

    /// What the store tells of changes; none where it tells nobody.
    pub fn listen(&self, runtime: &Handle) -> Option<Receiver<Notice>> {
        self.store.listen(runtime)
    }

    /// True when the store answers.
    pub async fn ping(&self) -> Result<(), VaultError> {
        Ok(self.store.ping().await?)
    }
}
