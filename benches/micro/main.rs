//! Parts of the hot path, each by itself and without I/O: `cargo bench --bench micro`.
//!
//! One end user is connected over real HTTP, on the embedded store; then the server ends, and its parts are asked in this
//! process. What they read is kept in memory (`cache.ttl`), and no record is made (`audit.handouts = "off"`).

#![expect(clippy::expect_used, clippy::panic, reason = "it ends at the first fault")]
#![expect(
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "it borrows the journey of the load script, and not all of it"
)]

#[path = "../load/accounts.rs"]
mod accounts;
#[path = "../load/http.rs"]
mod http;
#[path = "../load/journey.rs"]
mod journey;
mod process;

use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, body::MessageBody};
use divan::Bencher;
use grantkeep::accounts::{Accounts, Presented};
use grantkeep::domain::{Account, EndUserId, ProviderId, Secret};
use grantkeep::ports::Tasks;
use grantkeep::vault::{Along, Slot, Vault};
use process::Grantkeep;
use std::sync::{Arc, OnceLock};

struct Stage {
    server: Grantkeep,
    key: String,
}

/// One end user of one tenant, connected.
fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let mut server = Grantkeep::start();
        let key = journey::connected(&server, 1).key;
        server.stop();
        Stage { server, key }
    })
}

fn main() {
    stage();
    divan::main();
}

/// The text of the key is read, its secret hashed and compared with what is kept; the slot is looked up along with it.
#[divan::bench]
fn key_parsed_and_checked(bencher: Bencher<'_, '_>) {
    parts(|runtime, _, accounts| {
        let presented = Presented::Key(Secret::new(stage().key.clone()));
        let slot = slot();
        let check = || {
            let along = Along { slot: &slot, anew: false };
            runtime.block_on(accounts.authenticate(&presented, None, Some(along))).expect("the key is good")
        };
        bencher.bench_local(check);
    });
}

/// The access token of a connection that was read: AES-256-GCM, and the token out of its packed form.
#[divan::bench]
fn sealed_field_opened(bencher: Bencher<'_, '_>) {
    parts(|runtime, vault, accounts| {
        let presented = Presented::Key(Secret::new(stage().key.clone()));
        let proven =
            runtime.block_on(accounts.authenticate(&presented, None, None)).expect("the key is good");
        let connections = vault.connections(proven.caller.authority());
        let found = runtime.block_on(connections.find(&slot())).expect("the store answers");
        let connection = found.expect("it is connected");
        bencher.bench_local(|| runtime.block_on(connections.access_token(&connection)).is_ok());
    });
}

/// A whole request without a socket: routing, key, slot, token, answer.
#[divan::bench]
fn whole_handler(bencher: Bencher<'_, '_>) {
    let background = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let background = background.expect("a runtime");
    let tasks = Tasks::new(background.handle().clone());
    let system = actix_web::rt::System::new();
    let service = system.block_on(async {
        let routes = grantkeep::app::routes(stage().server.settings(), &tasks).await;
        init_service(App::new().configure(routes.unwrap_or_else(|fault| panic!("{fault}")))).await
    });
    let key = format!("Bearer {}", stage().key);
    let ask = || {
        let request = TestRequest::post()
            .uri("/get-access-token")
            .insert_header(("authorization", key.as_str()))
            .insert_header(("content-type", "application/json"))
            .set_payload(r#"{"provider":"sandbox","end_user":"user-0"}"#);
        system.block_on(call_service(&service, request.to_request()))
    };
    let answer = ask();
    assert_eq!(answer.status(), 200);
    let bytes = answer.into_body().try_into_bytes().unwrap_or_default();
    assert!(String::from_utf8_lossy(&bytes).contains(r#""state":"fresh""#));
    bencher.bench_local(|| assert_eq!(ask().status(), 200));
    background.shutdown_background();
}

/// Where the one end user's connection is.
fn slot() -> Slot {
    Slot {
        provider: ProviderId::parse("sandbox").expect("a provider"),
        end_user: EndUserId::parse(&journey::name(0)).expect("an end user"),
        account: Account::default(),
    }
}

/// Vault and accounts on the store that the server has left.
fn parts(work: impl FnOnce(&tokio::runtime::Runtime, &Arc<Vault>, &Accounts)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let vault = runtime.block_on(grantkeep::app::vault(stage().server.settings()));
    let vault = Arc::new(vault.unwrap_or_else(|fault| panic!("{fault}")));
    let accounts =
        accounts::accounts(&vault, stage().server.settings(), Tasks::new(runtime.handle().clone()));
    work(&runtime, &vault, &accounts);
}
