//! A crowd: connections laid down by the vault itself, each a copy of one that was really made, with tokens of its own. A
//! million of them through browsers would take days.

use super::process::Grantkeep;
use grantkeep::accounts::Presented;
use grantkeep::adapters::system::SystemChance;
use grantkeep::config::Settings;
use grantkeep::domain::{AccessToken, Account, EndUserId, ProviderId, RefreshToken, Secret};
use grantkeep::ports::{Chance, ChanceExt, Tasks};
use grantkeep::vault::{Authority, Connection, NewGrant, Slot, Tokens, Vault};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Under way at once.
const AT_ONCE: usize = 128;
/// Digits in the name of one of the crowd.
pub const DIGITS: usize = 8;

/// The name of one of the crowd.
pub fn name(number: usize) -> String {
    format!("crowd-{number:0DIGITS$}")
}

/// How large its tokens are.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub access: usize,
    pub refresh: usize,
}

/// Lays down the connections of these numbers beside those of `model`, whose holder the key proves. On the embedded store the
/// server must not run.
pub fn fill(server: &Grantkeep, key: &str, model: &str, numbers: std::ops::Range<usize>, sizes: Sizes) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let settings = settings(server);
        let vault = vault(&settings).await;
        let by = prove(&vault, key, &settings).await;
        let found = vault.connections(&by).find(&slot(model)).await.expect("the store answers");
        let model = Arc::new(found.unwrap_or_else(|| panic!("{model} is connected")));
        let (next, began) = (Arc::new(AtomicUsize::new(numbers.start)), Instant::now());
        let fillers = (0..AT_ONCE).map(|_| {
            let (vault, by, model, next) =
                (Arc::clone(&vault), by.clone(), Arc::clone(&model), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    let grant = copy(&model, sizes);
                    let made = vault.connections(&by).connect(&slot(&name(number)), &grant).await;
                    assert!(made.expect("the store takes it").is_some(), "the slot is free");
                }
            })
        });
        let fillers: Vec<_> = fillers.collect();
        for filler in fillers {
            filler.await.expect("it fills");
        }
        let took = began.elapsed();
        eprintln!(
            "{} connections laid down in {took:.0?}, {:.0} in a second",
            numbers.len(),
            numbers.len() as f64 / took.as_secs_f64()
        );
    });
}

pub fn settings(server: &Grantkeep) -> Settings {
    let env = server.settings().iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Settings::load(None, env, &[]).unwrap_or_else(|faults| panic!("{faults}"))
}

pub async fn vault(settings: &Settings) -> Arc<Vault> {
    Arc::new(grantkeep::app::vault(settings).await.unwrap_or_else(|fault| panic!("{fault}")))
}

pub fn slot(end_user: &str) -> Slot {
    Slot {
        provider: ProviderId::parse("sandbox").expect("a provider"),
        end_user: EndUserId::parse(end_user).expect("an end user"),
        account: Account::default(),
    }
}

pub fn copy(model: &Connection, sizes: Sizes) -> NewGrant {
    let tokens = Tokens {
        access: AccessToken::new(token(sizes.access)),
        refresh: Some(RefreshToken::new(token(sizes.refresh))),
        previous: None,
        more: BTreeMap::new(),
    };
    NewGrant {
        tokens,
        token_type: model.token_type.clone(),
        issued_at: model.issued_at,
        expires_at: model.expires_at,
        refresh_expires_at: model.refresh_expires_at,
        scopes: model.scopes.clone(),
        requested_scopes: model.requested_scopes.clone(),
        client_id: model.client_id.clone(),
        variables: model.variables.clone(),
        metadata: model.metadata.clone(),
        identity: model.identity.clone(),
        plan: model.plan,
    }
}

/// As most tokens are: letters of base64url, and nothing that could be made smaller.
fn token(length: usize) -> String {
    use base64::Engine;
    let chance: &dyn Chance = &SystemChance;
    let bytes: Vec<u8> = (0..length.div_ceil(32)).flat_map(|_| chance.bytes::<32>()).collect();
    let mut text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    text.truncate(length);
    text
}

pub async fn prove(vault: &Arc<Vault>, key: &str, settings: &Settings) -> Authority {
    let tasks = Tasks::new(tokio::runtime::Handle::current());
    let accounts = super::accounts::accounts(vault, settings, tasks);
    let presented = Presented::Key(Secret::new(key));
    let proven = accounts.authenticate(&presented, None, None).await.expect("the key is good");
    proven.caller.authority().clone()
}
