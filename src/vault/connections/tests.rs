//! What is written by whoever has read a record that is no longer there.

use super::*;
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::system::{SystemChance, SystemClock};
use crate::domain::{Account, EmailAddress, RefreshToken, Scopes, Who};
use crate::ports::{Chance, Clock, Interposed};
use crate::vault::{Activation, Keyring, PendingSignUp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

struct House {
    vault: Vault,
    by: Authority,
    _folder: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let chance: Arc<dyn Chance> = Arc::new(SystemChance);
        let store = Arc::new(EmbeddedStore::open(folder.path(), clock.clone()).unwrap());
        let keyring = Keyring::new([("k1", &[7; 32])]).unwrap();
        let vault = Vault::new(store, clock.clone(), chance.clone(), keyring);
        let pending = PendingSignUp {
            email: EmailAddress::parse("ada@example.com").unwrap(),
            password_hash: "none".to_owned(),
            product: String::new(),
            created_at: clock.now(),
        };
        let link = chance.ticket();
        vault.sign_ups().keep(&link, &pending, Duration::from_mins(1)).await.unwrap();
        let Activation::Activated(tenant) = vault.sign_ups().activate(&link).await.unwrap() else {
            panic!("not activated")
        };
        Self { vault, by: Authority::proven(tenant, Who::Grantkeep.at(None)), _folder: folder }
    }

    fn connections(&self) -> Connections<'_> {
        self.vault.connections(&self.by)
    }

    async fn connect(&self, token: &str) -> Connection {
        self.connections().connect(&slot(), &self.grant(token, None)).await.unwrap().unwrap()
    }

    fn grant(&self, token: &str, identity: Option<&str>) -> NewGrant {
        let tokens = Tokens {
            access: AccessToken::new(token),
            refresh: Some(RefreshToken::new(token)),
            previous: None,
            more: BTreeMap::new(),
        };
        NewGrant {
            tokens,
            token_type: "Bearer".to_owned(),
            issued_at: self.vault.clock.now(),
            expires_at: None,
            refresh_expires_at: None,
            scopes: Scopes::default(),
            requested_scopes: Scopes::default(),
            client_id: "client".to_owned(),
            variables: BTreeMap::new(),
            metadata: BTreeMap::new(),
            identity: Identity { id: identity.map(str::to_owned), name: None },
            plan: Plan::default(),
        }
    }

    async fn delete(&self, connection: &Connection) {
        assert!(self.connections().begin_delete(connection).await.unwrap());
        let deleting = self.connections().find(&connection.slot).await.unwrap().unwrap();
        assert!(self.connections().finish_delete(&deleting).await.unwrap());
    }

    async fn token(&self) -> String {
        let now = self.connections().find(&slot()).await.unwrap().unwrap();
        assert_eq!(now.status, Status::Active);
        self.connections().access_token(&now).await.unwrap().expose().to_owned()
    }
}

fn slot() -> Slot {
    Slot {
        provider: ProviderId::parse("slack").unwrap(),
        end_user: EndUserId::parse("u1").unwrap(),
        account: Account::default(),
    }
}

#[tokio::test]
async fn who_read_a_connection_that_was_deleted_and_made_again_changes_nothing() {
    let house = House::new().await;
    let old = house.connect("old").await;
    house.delete(&old).await;
    let new = house.connect("new").await;
    // Records begin anew, so these two tell nothing apart.
    assert_eq!((old.rev, old.generation), (new.rev, new.generation));
    let claimed = house.connections().claim(&old, Duration::from_mins(1)).await.unwrap();
    assert_eq!(claimed, None, "an attempt with the old refresh token");
    assert!(!house.connections().begin_delete(&old).await.unwrap(), "the new grant would go");
    assert!(!house.connections().forget(&old).await.unwrap(), "the new grant would go");
    assert_eq!(house.token().await, "new");
}

#[tokio::test]
async fn a_slot_stays_with_its_account() {
    let house = House::new().await;
    let connections = house.connections();
    let connect = async |token: &str, identity| {
        let made = connections.connect(&slot(), &house.grant(token, identity)).await.unwrap();
        made.map(|connection| connection.generation)
    };
    assert_eq!(connect("a1", None).await, Some(1));
    assert_eq!(connect("a2", Some("ada")).await, Some(2));
    assert_eq!(connect("e1", Some("eve")).await, None);
    assert_eq!(connect("e2", None).await, None);
    assert_eq!(house.token().await, "a2");
    assert_eq!(connect("a3", Some("ada")).await, Some(3));
}

#[tokio::test]
async fn a_grant_whose_answer_was_lost_is_there_once() {
    let mut house = House::new().await;
    let loses = Arc::new(AtomicBool::new(true));
    // Of one batch all is done, and the answer is lost.
    house.vault.store = Arc::new(Interposed::new(Arc::clone(&house.vault.store), move |behind, batch| {
        let loses = Arc::clone(&loses);
        Box::pin(async move {
            let outcome = behind.apply(batch).await;
            let lost = loses.swap(false, Ordering::SeqCst);
            if lost { Err(StoreError::OutcomeUnknown("lost".to_owned())) } else { outcome }
        })
    }));
    let grant = house.grant("first", None);
    let imported = house.connections().import(&slot(), &grant).await.unwrap().unwrap();
    assert_eq!(imported.generation, 1);
    let found = house.connections().find(&slot()).await.unwrap().unwrap();
    assert_eq!(found.grant, imported.grant);
    assert!(house.connections().import(&slot(), &grant).await.unwrap().is_none(), "the slot is taken");
}
