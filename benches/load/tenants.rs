//! Tenants of one end user each, laid down by vault and accounts without a server: what is shared by the callers of one tenant,
//! its key, its registration and its appends to the audit trail, is shared by none here.

use super::process::Grantkeep;
use super::{accounts, fill, journey};
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use grantkeep::accounts::{Accounts, NewApiKey, Presented};
use grantkeep::adapters::system::SystemChance;
use grantkeep::domain::{ClientSecret, EmailAddress, KeyScopes, Password, Secret, Ticket};
use grantkeep::ports::{Chance, ChanceExt, Tasks};
use grantkeep::vault::{
    ApiKeyLimits, AuditOptions, Connection, Finish, IntegrationDraft, NewGrant, NewSecret, PendingSignUp,
    SecretDraft, Vault,
};
use std::sync::Arc;
use std::time::Duration;

/// Under way at once.
const AT_ONCE: usize = 64;
/// Of all of them.
const PASSWORD: &str = "a quiet harbour at dawn";

struct House {
    vault: Arc<Vault>,
    accounts: Accounts,
    password_hash: String,
    model: Connection,
    grant: NewGrant,
}

/// Lays down so many tenants, each with a copy of the connection of `model`, whose holder the key proves; the requests for
/// their tokens. On the embedded store the server must not run.
pub fn lay_down(
    server: &Grantkeep,
    key: &str,
    model: &str,
    count: usize,
    sizes: fill::Sizes,
) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let settings = fill::settings(server);
        let vault = fill::vault(&settings).await;
        let tasks = Tasks::new(tokio::runtime::Handle::current());
        let by = fill::prove(&vault, key, &settings).await;
        let model = vault.connections(&by).find(&fill::slot(model)).await.expect("the store answers");
        let model = model.expect("the model is connected");
        let instance = (&SystemChance as &dyn Chance).id();
        vault.write_audit(AuditOptions { instance, retention: None }, &tasks);
        let accounts = accounts::accounts(&vault, &settings, tasks);
        let grant = fill::copy(&model, sizes);
        let house = Arc::new(House { vault, accounts, password_hash: cheap_hash(), model, grant });
        let mut requests = Vec::with_capacity(count);
        let numbers: Vec<usize> = (0..count).collect();
        for numbers in numbers.chunks(AT_ONCE) {
            let made = numbers.iter().map(|number| tokio::spawn(made(Arc::clone(&house), *number)));
            for made in made.collect::<Vec<_>>() {
                requests.push(made.await.expect("it is made"));
            }
        }
        requests
    })
}

/// As an operator's own would be, but for its cost: a tenant is proven by it once, and they are many.
fn cheap_hash() -> String {
    let params = Params::new(8, 1, 1, None).expect("the least there is");
    let argon2id = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2id.hash_password_with_salt(PASSWORD.as_bytes(), b"0123456789abcdef");
    hash.expect("it is hashed").to_string()
}

/// One tenant; the request for its token.
async fn made(house: Arc<House>, number: usize) -> Vec<u8> {
    let email = format!("tenant-{number}@example.com");
    let sign_up = PendingSignUp {
        email: EmailAddress::parse(&email).expect("an address"),
        password_hash: house.password_hash.clone(),
        product: "Bench".to_owned(),
        created_at: house.model.created_at,
    };
    let link = Ticket::new(format!("link-{number}"));
    let sign_ups = house.vault.sign_ups();
    sign_ups.keep(&link, &sign_up, Duration::from_hours(1)).await.expect("the store takes it");
    sign_ups.activate(&link).await.expect("the store takes it");
    let presented = Presented::Password { email, password: Password::new(PASSWORD) };
    let owner = house.accounts.authenticate(&presented, None, None).await.expect("it is the password").caller;
    let limits =
        ApiKeyLimits { scopes: KeyScopes::all(), expires_at: None, providers: Vec::new(), ips: Vec::new() };
    let key = house.accounts.create_key(&owner, NewApiKey { name: "bench".to_owned(), limits }).await;
    let (_, key): (_, Secret) = key.expect("it is made");
    let by = owner.authority();
    let slot = fill::slot(&fill::name(0));
    let draft = IntegrationDraft {
        client_id: house.model.client_id.clone(),
        secret: SecretDraft {
            current: NewSecret::Given(Some(ClientSecret::new("sandbox-secret"))),
            drop_previous: false,
        },
        scopes: house.model.scopes.clone(),
        redirect_urls: Vec::new(),
        variables: house.model.variables.clone(),
        finish: Finish::Backend,
    };
    assert!(house.vault.integrations(by).put(&slot.provider, &draft).await.expect("the store takes it"));
    let connected = house.vault.connections(by).connect(&slot, &house.grant).await;
    assert!(connected.expect("the store takes it").is_some(), "the slot is free");
    journey::token_request(key.expose(), &fill::name(0))
}
