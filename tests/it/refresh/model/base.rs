//! What every case begins with: a tenant that signed up, and its registration at the provider of the model.

use super::provider::Manner;
use super::world::{ModelClock, vault};
use crate::support::maps::{MapStore, Maps};
use async_trait::async_trait;
use grantkeep::accounts::{AccountSettings, Accounts, MailSettings, Presented, SignUp};
use grantkeep::adapters::system::SystemChance;
use grantkeep::broker::{Broker, Enable, Import};
use grantkeep::catalog::{BuiltIn, Catalog};
use grantkeep::domain::{
    AccessToken, Account, ClientSecret, EmailAddress, EndUserId, Id, InstanceId, Origin, Password,
    ProviderId, RefreshToken, Refusal, Scopes, Ticket,
};
use grantkeep::ports::{Mail, MailError, Mailer, Tasks};
use grantkeep::vault::{AuditOptions, Authority, Finish, Slot};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;

/// A tenant's authority, and a store with that tenant in it.
pub struct Base {
    pub maps: Maps,
    pub by: Authority,
}

/// A mailbox.
#[derive(Default)]
struct Letters(Mutex<Vec<String>>);

#[async_trait]
impl Mailer for Letters {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.lock().unwrap().push(mail.text.clone());
        Ok(())
    }

    async fn check(&self) -> Result<(), MailError> {
        Ok(())
    }
}

impl Base {
    /// Made once: a password is hashed for it. Not to be asked from within a runtime.
    pub fn get() -> &'static Self {
        static BASE: OnceLock<Base> = OnceLock::new();
        BASE.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Self::make())
        })
    }

    async fn make() -> Self {
        let clock = ModelClock::new();
        let store = Arc::new(MapStore::new(Maps::default(), clock.clone()));
        let vault = Arc::new(vault(store.clone(), clock.clone()));
        let letters = Arc::new(Letters::default());
        let tasks = Tasks::new(Handle::current());
        let instance = InstanceId::parse(&"0".repeat(InstanceId::LENGTH)).unwrap();
        vault.write_audit(AuditOptions { instance, retention: None }, &tasks);
        let (chance, mailer) = (Arc::new(SystemChance), letters.clone());
        let accounts = Accounts::new(vault, clock, chance, mailer, tasks, settings());
        let (email, password) = ("owner@example.com", "umbra-quartz-41-lantern");
        let address = EmailAddress::parse(email).unwrap();
        let sign_up = SignUp { email: address, password: Password::new(password), product: None };
        accounts.sign_up(sign_up, None).await.unwrap();
        let letter = loop {
            if let Some(letter) = letters.0.lock().unwrap().pop() {
                break letter;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        let (_, link) = letter.split_once("token=").expect("a link");
        let token = Ticket::new(link.split_whitespace().next().unwrap());
        let nobody = Origin { address: None, request: String::new() };
        accounts.verify(&token, &nobody).await.unwrap();
        let presented = Presented::Password { email: email.to_owned(), password: Password::new(password) };
        let by = accounts.authenticate(&presented, None, None).await.unwrap().caller.authority().clone();
        Self { maps: store.copy(), by }
    }

    /// The one connection of a case.
    pub fn slot() -> Slot {
        Slot {
            provider: ProviderId::parse("model").unwrap(),
            end_user: EndUserId::parse("ada").unwrap(),
            account: Account::parse("").unwrap(),
        }
    }

    /// Registers the tenant at the provider.
    pub async fn enable(&self, broker: &Broker) {
        let enable = Enable {
            provider: Self::slot().provider,
            client_id: "client".to_owned(),
            client_secret: Some(ClientSecret::new("secret")),
            scopes: Scopes::default(),
            redirect_urls: vec!["https://example.com/done".to_owned()],
            variables: BTreeMap::new(),
            finish: Finish::Backend,
        };
        broker.enable(&self.by, enable).await.unwrap();
    }

    /// Brings a grant along, which becomes the one connection where there is none.
    pub async fn import(&self, broker: &Arc<Broker>, access: String, refresh: String) -> Result<(), Refusal> {
        let import = Import {
            slot: Self::slot(),
            access_token: AccessToken::new(access),
            refresh_token: Some(RefreshToken::new(refresh)),
            expires_in: Some(Duration::from_secs(1)),
            scopes: None,
            variables: BTreeMap::new(),
            metadata: BTreeMap::new(),
            check: false,
        };
        broker.import(&self.by, import).await.map(drop)
    }
}

/// A catalog of the one provider.
pub fn catalog(manner: Manner) -> Catalog {
    Catalog::load(&[BuiltIn { id: "model", text: manner.file() }], &[], false).unwrap()
}

fn settings() -> AccountSettings {
    AccountSettings {
        public_url: "https://grantkeep.test".parse().unwrap(),
        hashes_at_once: 1,
        hashes_waiting: 1,
        sign_up_life: Duration::from_hours(1),
        reset_life: Duration::from_hours(1),
        mail: MailSettings {
            timeout: Duration::from_secs(10),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(1),
            keep_trying: Duration::from_mins(1),
        },
        sign_ups_per_hour: 10,
        mails_per_hour: 10,
        failed_logins_per_minute: 10,
    }
}
