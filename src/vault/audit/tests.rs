//! Trails of several tenants in one process.

use super::append::Known;
use super::trail::{FORGOTTEN, MOST_KNOWN, MOST_WAITING};
use super::*;
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::system::{SystemChance, SystemClock};
use crate::domain::{Action, EmailAddress, TenantId, Who};
use crate::ports::store::{Batch, Store, Write};
use crate::ports::{ChanceExt, Interposed, Tasks};
use crate::vault::{Activation, Keyring, PendingSignUp, keys};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

async fn tenant(vault: &Vault, email: &str) -> TenantId {
    let pending = PendingSignUp {
        email: EmailAddress::parse(email).unwrap(),
        password_hash: "none".to_owned(),
        product: String::new(),
        created_at: vault.clock.now(),
    };
    let link = vault.chance.ticket();
    vault.sign_ups().keep(&link, &pending, Duration::from_mins(1)).await.unwrap();
    match vault.sign_ups().activate(&link).await.unwrap() {
        Activation::Activated(tenant) => tenant,
        other => panic!("{other:?}"),
    }
}

fn vault_on(store: Arc<dyn Store>) -> Arc<Vault> {
    let keyring = Keyring::new([("k1", &[7; 32])]).unwrap();
    let vault = Arc::new(Vault::new(store, Arc::new(SystemClock::new()), Arc::new(SystemChance), keyring));
    let options = AuditOptions { instance: SystemChance.id(), retention: None };
    vault.write_audit(options, &Tasks::new(tokio::runtime::Handle::current()));
    vault
}

/// Records of a tenant whose data key does not open can never be written: they wait for ever.
#[tokio::test]
async fn a_tenant_whose_records_cannot_be_written_costs_no_other_a_token_or_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(folder.path(), Arc::new(SystemClock::new())).unwrap());
    let vault = vault_on(store.clone());
    let (broken, sound) = (tenant(&vault, "a@example.com").await, tenant(&vault, "b@example.com").await);
    let spoilt = vec![("data_key".to_owned(), "spoilt".into())];
    let write = Write::Set { key: keys::tenant(&broken), fields: spoilt };
    store.apply(Batch::new().then(write)).await.unwrap();
    let broken = Authority::proven(broken, Who::Grantkeep.at(None));
    let sound = Authority::proven(sound, Who::Grantkeep.at(None));
    for _ in 0..=MOST_WAITING {
        vault.audit(&broken).note(&Deed { outcome: "internal", ..Deed::done(Action::TokenHandedOut) });
    }
    vault.audit(&sound).record_first(Deed::done(Action::TokenHandedOut)).await.unwrap();
    vault.audit(&sound).record(Deed::done(Action::ApiKeyCreated)).await.unwrap();
    let (found, _) = vault.audit(&sound).list(&AuditFilter::default(), None, 10).await.unwrap().unwrap();
    let actions: Vec<&str> = found.iter().map(|record| record.action.as_str()).collect();
    assert_eq!(actions, ["api_key.created", "token.handed_out"]);
}

/// When a batch is never answered.
#[derive(Clone, Copy, Debug)]
enum Held {
    NotDone,
    Done,
}

/// A store of which one batch is held as soon as `held` says so.
fn holding_one(store: EmbeddedStore, held: Arc<Mutex<Option<Held>>>) -> Interposed {
    Interposed::new(Arc::new(store), move |behind, batch| {
        let held = held.lock().unwrap().take();
        Box::pin(async move {
            match held {
                None => behind.apply(batch).await,
                Some(Held::NotDone) => pending().await,
                Some(Held::Done) => {
                    behind.apply(batch).await?;
                    pending().await
                }
            }
        })
    })
}

/// A thread that serves ends while the records of others are on their way with its own: none is lost, and none is there twice.
#[tokio::test]
async fn the_end_of_the_thread_that_writes_loses_nothing() {
    for held in [Held::NotDone, Held::Done] {
        let folder = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(folder.path(), Arc::new(SystemClock::new())).unwrap();
        let holding = Arc::new(Mutex::new(None));
        let vault = vault_on(Arc::new(holding_one(store, Arc::clone(&holding))));
        let by = Authority::proven(tenant(&vault, "a@example.com").await, Who::Grantkeep.at(None));
        vault.audit(&by).record_first(Deed::done(Action::TokenHandedOut)).await.unwrap();
        *holding.lock().unwrap() = Some(held);
        let (server, caller) = (Arc::clone(&vault), by.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let audit = server.audit(&caller);
                let handed_out = audit.record_first(Deed::done(Action::TokenHandedOut));
                tokio::time::timeout(Duration::from_millis(100), handed_out).await.unwrap_err();
                audit.note(&Deed::done(Action::ApiKeyCreated));
            });
        });
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        assert!(holding.lock().unwrap().is_none(), "the batch was under way");
        let audit = vault.audit(&by);
        let last = audit.record(Deed::done(Action::ApiKeyRevoked));
        tokio::time::timeout(Duration::from_secs(20), last).await.unwrap().unwrap();
        let (found, _) = audit.list(&AuditFilter::default(), None, 10).await.unwrap().unwrap();
        let actions: Vec<&str> = found.iter().map(|record| record.action.as_str()).collect();
        let expected = ["api_key.revoked", "api_key.created", "token.handed_out", "token.handed_out"];
        assert_eq!(actions, expected, "{held:?}");
        let sequences: Vec<u64> = found.iter().map(|record| record.sequence).collect();
        assert_eq!(sequences, [4, 3, 2, 1], "{held:?}");
    }
}

/// Room for one more is made a few at a time: each that goes is logged, and costs its tenant's next record a read.
#[tokio::test]
async fn heads_are_forgotten_a_few_at_a_time_and_never_of_a_tenant_with_records_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), Arc::new(SystemClock::new())).unwrap();
    let vault = vault_on(Arc::new(store));
    let trail = vault.trail.get().unwrap();
    let busy: TenantId = SystemChance.id();
    // Of a tenant that is not there: it is written on another turn of this runtime, which comes after the end.
    trail.push(&busy, "{}".to_owned(), vault.clock.now(), true).unwrap();
    let tenants: Vec<TenantId> = (1..=MOST_KNOWN).map(|_| SystemChance.id()).collect();
    for tenant in std::iter::once(&busy).chain(&tenants) {
        trail.know(tenant, Known::of(None));
    }
    assert!(trail.known(&busy).is_some() && trail.known(tenants.last().unwrap()).is_some());
    let kept = tenants.iter().filter(|tenant| trail.known(tenant).is_some()).count();
    assert_eq!(kept, MOST_KNOWN - FORGOTTEN);
}
