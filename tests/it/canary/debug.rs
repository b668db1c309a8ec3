//! `Debug` of what the rooms hand to each other, taken from a store in which every secret lies.

use super::run::{self, Run};
use super::search::{Canary, Search};
use super::wiretap::Wiretap;
use crate::support::app::{App, Stores};
use grantkeep::adapters::embedded::EmbeddedStore;
use grantkeep::adapters::system::{SystemChance, SystemClock};
use grantkeep::app::new_master_key;
use grantkeep::broker::{Change, Complete, Enable, Import, SessionCookie};
use grantkeep::config::Settings;
use grantkeep::domain::{
    AccessToken, Account, ClientSecret, EndUserId, KeyScopes, ProviderId, RefreshToken, Scopes, Ticket,
};
use grantkeep::ports::Clock;
use grantkeep::vault::{ApiKeyLimits, Completing, Finish, IntegrationSecrets, Keyring, Slot, Vault};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const SECRET: &str = "kept-0f8a6c1e9b3d7452-secret";

fn found(canaries: &[Canary], shown: &[String]) -> BTreeSet<String> {
    let search = Search::new(canaries);
    shown.iter().flat_map(|text| search.found("Debug", text.as_bytes())).collect()
}

#[tokio::test]
async fn what_comes_out_of_the_vault_shows_no_secret() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let (tap, master_key) = (Wiretap::start().await, new_master_key(Some("canary")));
    let further =
        [("providers.dirs", run::provider(folder.path())), ("vault.master_keys", master_key.clone())];
    let further: Vec<(&str, &str)> = further.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let app = App::start_with(Stores::Embedded, &further).await;
    let mut run = Run::new(&app, &tap, &master_key, Box::new(Vec::new));
    run.move_in().await;
    run.authorize("user 1").await;
    run.connect("user 1").await;
    run.authorize("user 2").await;
    run.overheard();
    let settings = [("vault.master_keys", master_key.clone())];
    let settings = Settings::load(None, std::iter::empty(), &settings).expect("good settings");
    let mut shown = vec![format!("{settings:?} {settings:#?}")];
    let keyring =
        Keyring::new(settings.vault.master_keys.iter().map(|key| (key.id(), key.expose()))).expect("a key");
    let (ticket, completion, canaries) = (Ticket::new(run.ticket), Ticket::new(run.completion), run.canaries);
    // The store takes one process at a time, so a copy.
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).expect("a folder");
    let data = app.folder().join("data");
    for entry in std::fs::read_dir(&data).expect("a folder") {
        let path = entry.expect("an entry").path();
        // What is not the store's own lies in folders.
        if path.is_dir() {
            continue;
        }
        std::fs::copy(&path, copy.join(path.file_name().expect("a name"))).expect("a copy");
    }

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = EmbeddedStore::open(&copy, Arc::clone(&clock)).expect("it opens");
    let vault = Vault::new(Arc::new(store), clock, Arc::new(SystemChance), keyring);
    let (session, by) = vault.sessions().by_ticket(&ticket).await.expect("a store").expect("a session");
    let completing = vault.sessions().by_completion(&completion, &by).await.expect("a store");
    assert!(matches!(completing, Completing::Session(_)));
    let inputs = vault.sessions().exchange_inputs(&session).await.expect("a store").expect("a code");
    assert!(
        canaries.iter().any(|canary| canary.value == inputs.code.expose().as_bytes()),
        "it is the real code"
    );
    let canary = ProviderId::parse("canary").expect("an id");
    let integration = vault.integrations(&by).find(&canary).await.expect("a store").expect("an integration");
    let secrets = vault.integrations(&by).secrets(&integration).await.expect("a store");
    let slot = Slot {
        provider: canary,
        end_user: EndUserId::parse("user 1").expect("an id"),
        account: Account::parse("").expect("a label"),
    };
    let connection = vault.connections(&by).find(&slot).await.expect("a store").expect("a connection");
    let tokens = vault.connections(&by).open(&connection).await.expect("a store");
    let keys = vault.api_keys(&by).list(None, 10).await.expect("a store");
    shown.push(format!("{session:?} {session:#?} {completing:?} {inputs:?} {by:?}"));
    shown.push(format!(
        "{integration:?} {secrets:?} {connection:?} {connection:#?} {tokens:?} {tokens:#?} {keys:?}"
    ));
    assert!(tokens.previous.is_some() && !tokens.more.is_empty() && tokens.refresh.is_some());
    assert_eq!(found(&canaries, &shown), BTreeSet::new());
    // The same search on the same tokens, opened.
    let opened = vec![tokens.access.expose().to_owned()];
    assert!(!found(&canaries, &opened).is_empty());
}

#[test]
fn what_rooms_tell_each_other_shows_no_secret() {
    let provider = ProviderId::parse("slack").expect("an id");
    let settings = [
        ("store.url", format!("redis://:{SECRET}@127.0.0.1/")),
        ("mail.url", format!("smtp://user:{SECRET}@127.0.0.1")),
        ("mail.from", "a@example.com".to_owned()),
        ("vault.master_keys", new_master_key(None)),
    ];
    let enable = Enable {
        provider,
        client_id: "id".to_owned(),
        client_secret: Some(ClientSecret::new(SECRET)),
        scopes: Scopes::default(),
        redirect_urls: vec![],
        variables: BTreeMap::new(),
        finish: Finish::Backend,
    };
    let secrets = IntegrationSecrets {
        client_secret: Some(ClientSecret::new(SECRET)),
        previous: Some(ClientSecret::new(SECRET)),
    };
    let end_user = EndUserId::parse("user").expect("an id");
    let slot = Slot {
        provider: ProviderId::parse("slack").expect("an id"),
        end_user: end_user.clone(),
        account: Account::default(),
    };
    let import = Import {
        slot,
        access_token: AccessToken::new(SECRET),
        refresh_token: Some(RefreshToken::new(SECRET)),
        expires_in: None,
        scopes: None,
        variables: BTreeMap::new(),
        metadata: BTreeMap::new(),
        check: true,
    };
    let change = Change { client_secret: Some(ClientSecret::new(SECRET)), ..Change::default() };
    let limits = ApiKeyLimits { scopes: KeyScopes::all(), expires_at: None, providers: vec![], ips: vec![] };
    let complete = Complete { completion: Ticket::new(SECRET), end_user, code_verifier: None, limits };
    let cookie = SessionCookie {
        name: "gk-0".to_owned(),
        value: Ticket::new(SECRET),
        max_age: Duration::ZERO,
        secure: true,
    };
    let shown = [
        format!("{:?}", Settings::load(None, std::iter::empty(), &settings).expect("good settings")),
        format!("{enable:?} {secrets:?} {complete:?} {cookie:?} {import:?} {change:?}"),
    ];
    let canary = Canary { name: "secret", value: SECRET.into(), may: &[] };
    assert_eq!(found(&[canary], &shown), BTreeSet::new());
}
