//! Trails of several tenants in one process.

use super::trail::MOST_WAITING;
use super::*;
use crate::adapters::embedded::EmbeddedStore;
use crate::adapters::system::{SystemChance, SystemClock};
use crate::domain::{Action, EmailAddress, TenantId, Who};
use crate::ports::store::{Batch, Store, Write};
use crate::ports::{ChanceExt, Clock, Tasks};
use crate::vault::{Activation, Keyring, PendingSignUp, keys};
use std::sync::Arc;
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

/// Records of a tenant whose data key does not open can never be written: they wait for ever.
#[tokio::test]
async fn a_tenant_whose_records_cannot_be_written_costs_no_other_a_token_or_a_record() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Arc::new(EmbeddedStore::open(folder.path(), Arc::clone(&clock)).unwrap());
    let keyring = Keyring::new([("k1", &[7; 32])]).unwrap();
    let vault = Arc::new(Vault::new(store.clone(), clock, Arc::new(SystemChance), keyring));
    let options = AuditOptions { instance: SystemChance.id(), retention: None };
    vault.write_audit(options, &Tasks::new(tokio::runtime::Handle::current()));
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
