//! Who calls, and what they may do.

use super::*;
use crate::domain::{Account, ApiKeyId, EndUserId, Id, KeyScope, KeyScopes, ProviderId, TenantId, Who};
use crate::ports::store::Write;
use crate::vault::{ApiKey, ApiKeyLimits};
use futures_util::future::join_all;

fn everything() -> ApiKeyLimits {
    ApiKeyLimits { scopes: KeyScopes::all(), expires_at: None, providers: vec![], ips: vec![] }
}

async fn key(house: &House, by: &Caller, limits: ApiKeyLimits) -> (ApiKey, Secret) {
    house.accounts.create_key(by, NewApiKey { name: "backend".to_owned(), limits }).await.unwrap()
}

#[tokio::test]
async fn a_key_and_a_connection_are_one_round_trip() {
    let mut house = House::new();
    let ada = house.ada().await;
    let (made, text) = key(&house, &ada, everything()).await;
    let slot = Slot {
        provider: ProviderId::parse("slack").unwrap(),
        end_user: EndUserId::parse("u1").unwrap(),
        account: Account::default(),
    };
    house.reads();
    let found = house.bearer(text.expose(), Some(&slot)).await.unwrap();
    assert_eq!(house.reads(), 1);
    assert!(found.slot.is_some_and(|slot| slot.connection.is_none() && !slot.enabled));
    assert_eq!(found.caller.who(), &Who::Key(made.id));
    assert_eq!(found.caller.authority().tenant(), ada.authority().tenant());
    assert!(house.bearer(text.expose(), None).await.unwrap().slot.is_none());
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_the_answer_is_one() {
    let mut house = House::new();
    let ada = house.ada().await;
    let hour = Some(house.clock.now().plus(Duration::from_hours(1)));
    let (made, text) = key(&house, &ada, ApiKeyLimits { expires_at: hour, ..everything() }).await;
    let refused =
        |found: Result<Authenticated, Refusal>| assert_eq!(found.err(), Some(Refusal::Unauthenticated));
    assert!(house.bearer(text.expose(), None).await.is_ok());
    house.reads();
    refused(house.bearer("", None).await);
    refused(house.bearer(&text.expose().replace("gk_", "gk-"), None).await);
    assert_eq!(house.reads(), 0, "junk costs no look-up");
    let (tenant, other) = (ada.authority().tenant(), TenantId::parse(&"0".repeat(22)).unwrap());
    let absent = ApiKeyId::parse(&"0".repeat(16)).unwrap();
    refused(house.bearer(api_key::mint(&other, &made.id, &SystemChance).0.expose(), None).await);
    refused(house.bearer(api_key::mint(tenant, &absent, &SystemChance).0.expose(), None).await);
    refused(house.bearer(api_key::mint(tenant, &made.id, &SystemChance).0.expose(), None).await);
    house.clock.advance(Duration::from_hours(1));
    refused(house.bearer(text.expose(), None).await);
    let (made, text) = key(&house, &ada, everything()).await;
    house.accounts.revoke_key(&ada, &made.id).await.unwrap();
    refused(house.bearer(text.expose(), None).await);
}

#[tokio::test]
async fn a_key_is_bound_to_its_networks() {
    let mut house = House::new();
    let ada = house.ada().await;
    let inside = ApiKeyLimits { ips: vec!["::ffff:192.0.2.0/120".parse().unwrap()], ..everything() };
    let (made, text) = key(&house, &ada, inside).await;
    assert_eq!(made.limits.ips, ["192.0.2.0/24".parse().unwrap()]);
    assert!(house.bearer(text.expose(), None).await.is_ok());
    let outside = Some("198.51.100.1".parse().unwrap());
    let refusal = house.accounts.authenticate(&Presented::Key(text), outside, None).await.err();
    let detail = "This API key may not be used from 198.51.100.1.".to_owned();
    assert_eq!(refusal, Some(Refusal::OutsideKeyLimits { detail }));
}

#[tokio::test]
async fn keys_are_listed_and_revoked_within_a_tenant() {
    let mut house = House::new();
    let ada = house.ada().await;
    let reading = KeyScopes::parse(["tokens:read", "keys:write"]).unwrap();
    let (first, text) = key(&house, &ada, ApiKeyLimits { scopes: reading, ..everything() }).await;
    let (second, _) = key(&house, &ada, everything()).await;
    let mut ids = vec![first.id.clone(), second.id];
    ids.sort();
    let listed = house.accounts.list_keys(&ada, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|key| key.id.clone()).collect::<Vec<_>>(), ids);
    let after = house.accounts.list_keys(&ada, Some(&ids[0]), 10).await.unwrap();
    assert_eq!(after.iter().map(|key| key.id.clone()).collect::<Vec<_>>(), ids[1..]);

    house.sign_up("eve@example.com", "a phrase of eve's own", None).await.unwrap();
    let token = house.token().await;
    house.accounts.verify(&token, &Origin::default()).await.unwrap();
    let eve = house.login("eve@example.com", "a phrase of eve's own").await.unwrap();
    let what = format!("API key {}", first.id);
    assert_eq!(
        house.accounts.revoke_key(&eve, &first.id).await,
        Err(Refusal::NotFound { what: what.clone() })
    );
    assert!(house.accounts.list_keys(&eve, None, 10).await.unwrap().is_empty());

    let itself = house.bearer(text.expose(), None).await.unwrap().caller;
    let wider = NewApiKey { name: "wider".to_owned(), limits: everything() };
    let refusal = house.accounts.create_key(&itself, wider).await.err();
    assert_eq!(refusal, Some(Refusal::InsufficientScope { needed: KeyScope::ConnectionsRead }));
    assert_eq!(house.accounts.revoke_key(&itself, &first.id).await, Ok(()));
    assert_eq!(house.accounts.revoke_key(&ada, &first.id).await, Err(Refusal::NotFound { what }));
}

/// It is in the index still, and its record is gone: as a reader sees it that comes between the two.
#[tokio::test]
async fn a_key_revoked_while_keys_are_listed_does_not_end_the_list() {
    let mut house = House::new();
    let ada = house.ada().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(key(&house, &ada, everything()).await.0.id);
    }
    ids.sort();
    let gone = Key::of_tenant(ada.authority().tenant(), &format!("api-key:{}", ids[0]));
    house.store.apply(Batch::new().then(Write::Delete { key: gone })).await.unwrap();
    let page = house.accounts.list_keys(&ada, None, 2).await.unwrap();
    assert_eq!(page.iter().map(|key| key.id.clone()).collect::<Vec<_>>(), ids[1..]);
}

#[tokio::test]
async fn a_password_is_remembered_until_it_changes() {
    let mut house = House::new();
    let ada = house.ada().await;
    house.reads();
    assert!(house.login(ADA, PASSWORD).await.is_ok());
    assert_eq!(house.reads(), 1);

    let Who::Member(id) = ada.who() else { panic!("no member") };
    let member = Key::of_tenant(ada.authority().tenant(), &format!("member:{id}"));
    let hash = crate::crypto::password::hash(&Password::new("a new one, just as long"), &[1; 16]).unwrap();
    let changed = Write::Set { key: member, fields: vec![("password_hash".to_owned(), hash.into())] };
    assert!(house.store.apply(Batch::new().then(changed)).await.unwrap().applied());
    assert_eq!(house.login(ADA, PASSWORD).await.err(), Some(Refusal::Unauthenticated));
    assert!(house.login(ADA, "a new one, just as long").await.is_ok());
}

#[tokio::test]
async fn nobody_tells_an_absent_address_from_a_wrong_password() {
    let mut house = House::with(|settings| settings.failed_logins_per_minute = 100, true);
    house.ada().await;
    let mut costs = Vec::new();
    for email in [ADA, "nobody@example.com", "no address at all"] {
        house.reads();
        assert_eq!(house.login(email, "not the right one").await.err(), Some(Refusal::Unauthenticated));
        costs.push(house.reads());
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn wrong_passwords_are_counted_by_address_and_by_network() {
    let mut house = House::new();
    house.ada().await;
    let limited = Some(Refusal::RateLimited { retry_after: Duration::from_secs(20) });
    for n in 0..3 {
        let wrong = house.login_from(ADA, "not the right one", &format!("198.51.100.{n}")).await;
        assert_eq!(wrong.err(), Some(Refusal::Unauthenticated));
    }
    assert_eq!(house.login_from(ADA, "not the right one", "203.0.113.1").await.err(), limited);
    assert!(house.login_from(ADA, PASSWORD, "203.0.113.1").await.is_ok(), "she is remembered");
    for n in 0..3 {
        let wrong =
            house.login_from(&format!("nobody{n}@example.com"), "not the right one", "203.0.113.2").await;
        assert_eq!(wrong.err(), Some(Refusal::Unauthenticated));
    }
    assert_eq!(house.login_from("eve@example.com", "not the right one", "203.0.113.2").await.err(), limited);

    house.clock.advance(Duration::from_mins(1));
    assert!(house.login(ADA, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn right_passwords_do_not_count() {
    let mut house = House::new();
    house.ada().await;
    for _ in 0..5 {
        house.clock.advance(Duration::from_secs(61));
        assert!(house.login(ADA, PASSWORD).await.is_ok());
    }
    for _ in 0..3 {
        assert_eq!(house.login(ADA, "not the right one").await.err(), Some(Refusal::Unauthenticated));
    }
}

#[tokio::test]
async fn many_at_once_with_one_password_cost_one_hash() {
    let mut house = House::with(|settings| settings.hashes_waiting = 0, true);
    house.ada().await;
    house.clock.advance(Duration::from_mins(1));
    house.chance.0.store(0, Ordering::Relaxed);
    let found = join_all((0..30).map(|_| house.login(ADA, PASSWORD))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(house.chance.0.load(Ordering::Relaxed), 1);
}
