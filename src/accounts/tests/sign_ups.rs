//! From a form to a tenant.

use super::*;
use crate::domain::Who;

#[tokio::test]
async fn a_link_makes_a_member() {
    let mut house = House::new();
    house.sign_up(" Ada@Example.com", PASSWORD, None).await.unwrap();
    assert_eq!(house.login(ADA, PASSWORD).await.err(), Some(Refusal::Unauthenticated));
    let token = house.token().await;
    let pending = house.accounts.pending(&token).await.unwrap().unwrap();
    assert_eq!((pending.email.as_str(), pending.product.as_str()), (ADA, "Acme"));
    let Ok(Activation::Activated(tenant)) = house.accounts.verify(&token, &Origin::default()).await else {
        panic!("no tenant")
    };
    assert!(matches!(house.accounts.verify(&token, &Origin::default()).await, Ok(Activation::UnknownLink)));
    let caller = house.login("ADA@example.com ", "seven\u{a0}tulips in a green vase").await.unwrap();
    assert_eq!(caller.authority().tenant(), &tenant);
    assert!(matches!(caller.who(), Who::Member(_)));
}

#[tokio::test]
async fn a_link_activates_its_own_password_only() {
    let mut house = House::new();
    house.sign_up(ADA, "somebody else's long one", None).await.unwrap();
    let theirs = house.token().await;
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    let hers = house.token().await;
    assert!(matches!(house.accounts.verify(&hers, &Origin::default()).await, Ok(Activation::Activated(_))));
    assert!(matches!(house.accounts.verify(&theirs, &Origin::default()).await, Ok(Activation::AddressTaken)));
    assert!(house.login(ADA, PASSWORD).await.is_ok());
    assert_eq!(house.login(ADA, "somebody else's long one").await.err(), Some(Refusal::Unauthenticated));
}

#[tokio::test]
async fn a_link_grows_old() {
    let mut house = House::new();
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    let token = house.token().await;
    house.clock.advance(Duration::from_hours(24));
    assert!(house.accounts.pending(&token).await.unwrap().is_none());
    assert!(matches!(house.accounts.verify(&token, &Origin::default()).await, Ok(Activation::UnknownLink)));
}

#[tokio::test]
async fn an_owned_address_is_answered_like_any_other() {
    let mut house = House::new();
    house.ada().await;
    assert_eq!(house.sign_up(ADA, "another long pass phrase", None).await, Ok(()));
    let token = house.token().await;
    assert!(matches!(house.accounts.verify(&token, &Origin::default()).await, Ok(Activation::AddressTaken)));
    assert!(house.login(ADA, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn an_owned_address_costs_as_much_as_any_other() {
    let mut house = House::new();
    house.ada().await;
    let mut costs = Vec::new();
    for email in [ADA, "nobody@example.com"] {
        house.settle().await;
        house.reads();
        house.writes();
        assert_eq!(house.sign_up(email, "another long pass phrase", None).await, Ok(()));
        let before = (house.reads(), house.writes());
        house.settle().await;
        costs.push([before, (house.reads(), house.writes())]);
    }
    // Before the answer the queue; behind it the link, and the mail that leaves the queue.
    assert_eq!(costs, [[(1, 2), (0, 2)]; 2]);
}

#[tokio::test]
async fn a_mail_server_that_hangs_is_not_seen() {
    let house = House::with(|_| {}, false);
    assert_eq!(house.sign_up(ADA, PASSWORD, None).await, Ok(()));
}

#[tokio::test]
async fn too_many_for_one_address_send_nothing_and_do_not_say_so() {
    let mut house = House::with(|settings| settings.mails_per_hour = 2, true);
    for _ in 0..3 {
        assert_eq!(house.sign_up(ADA, PASSWORD, None).await, Ok(()));
    }
    house.sign_up("eve@example.com", PASSWORD, None).await.unwrap();
    let mut to = Vec::new();
    while to.last() != Some(&"eve@example.com".to_owned()) {
        to.push(house.mails.recv().await.unwrap().to.to_string());
    }
    assert_eq!(to, [ADA, ADA, "eve@example.com"]);
    house.clock.advance(Duration::from_mins(30));
    house.sign_up(ADA, PASSWORD, None).await.unwrap();
    assert_eq!(house.mails.recv().await.unwrap().to.as_str(), ADA);
}

#[tokio::test]
async fn too_many_from_one_network_are_refused() {
    let house = House::with(|settings| settings.sign_ups_per_hour = 1, true);
    assert_eq!(house.sign_up(ADA, PASSWORD, Some("2001:db8::1")).await, Ok(()));
    let refusal = house.sign_up("eve@example.com", PASSWORD, Some("2001:db8::2")).await;
    assert_eq!(refusal, Err(Refusal::RateLimited { retry_after: Duration::from_hours(1) }));
    assert_eq!(house.sign_up("eve@example.com", PASSWORD, Some("192.0.2.1")).await, Ok(()));
}

#[tokio::test]
async fn a_bad_password_is_refused_before_it_counts() {
    let house = House::with(|settings| settings.sign_ups_per_hour = 1, true);
    let refusal = house.sign_up(ADA, "too short", Some("192.0.2.1")).await;
    assert!(
        matches!(refusal, Err(Refusal::InvalidRequest { field: Some(field), .. }) if field == "password")
    );
    assert_eq!(house.sign_up(ADA, PASSWORD, Some("192.0.2.1")).await, Ok(()));
}
