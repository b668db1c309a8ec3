//! A forgotten password, and a new one.

use super::*;
use crate::domain::Refusal::{InvalidRequest, NotFound};

const NEW: &str = "nine lanterns on a low bridge";

impl House {
    async fn forgot(&self, email: &str) -> Result<(), Refusal> {
        self.accounts.forgot_password(EmailAddress::parse(email).unwrap(), None).await
    }

    async fn resets(&self, token: &Ticket, new: &str) -> Result<(), Refusal> {
        self.accounts.reset_password(token, &Password::new(new), None).await
    }
}

#[tokio::test]
async fn a_link_sets_a_password_once() {
    let mut house = House::new();
    house.ada().await;
    house.forgot(" Ada@Example.com ").await.unwrap();
    let token = house.token().await;
    for _ in 0..2 {
        assert_eq!(house.accounts.resettable(&token).await.unwrap().unwrap().as_str(), ADA);
    }
    assert!(house.login(ADA, PASSWORD).await.is_ok(), "until then the old one works");
    assert_eq!(house.resets(&token, NEW).await, Ok(()));
    let told = house.mails.recv().await.unwrap();
    assert!(told.text.contains("was changed") && !told.text.contains("token"), "{}", told.text);
    assert_eq!(house.login(ADA, PASSWORD).await.err(), Some(Refusal::Unauthenticated));
    assert!(house.login(ADA, NEW).await.is_ok());
    assert!(matches!(house.resets(&token, PASSWORD).await, Err(NotFound { .. })));
    assert!(house.accounts.resettable(&token).await.unwrap().is_none());
    assert!(house.login(ADA, NEW).await.is_ok());
}

#[tokio::test]
async fn of_two_links_the_first_counts_and_of_two_callers_one() {
    let mut house = House::new();
    house.ada().await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        house.forgot(ADA).await.unwrap();
        tokens.push(house.token().await);
    }
    let (one, other) =
        tokio::join!(house.resets(&tokens[0], NEW), house.resets(&tokens[0], "another harbour at dawn"));
    let new = if one.is_ok() { NEW } else { "another harbour at dawn" };
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(house.login(ADA, new).await.is_ok());
    assert!(
        matches!(house.resets(&tokens[1], PASSWORD).await, Err(NotFound { .. })),
        "it ended with the first"
    );
    assert!(house.login(ADA, new).await.is_ok());
}

#[tokio::test]
async fn a_password_that_will_not_do_leaves_the_link() {
    let mut house = House::new();
    house.ada().await;
    house.forgot(ADA).await.unwrap();
    let token = house.token().await;
    for bad in ["too short", "passwordpassword1", "ada@example.com"] {
        let refused = house.resets(&token, bad).await;
        assert!(
            matches!(&refused, Err(InvalidRequest { field: Some(f), .. }) if f == "password"),
            "{refused:?}"
        );
    }
    assert_eq!(house.resets(&token, NEW).await, Ok(()));
}

#[tokio::test]
async fn a_link_grows_old_and_is_asked_for_in_vain_after_a_while() {
    let mut house = House::new();
    house.ada().await;
    house.forgot(ADA).await.unwrap();
    let token = house.token().await;
    house.clock.advance(Duration::from_mins(59));
    assert!(house.accounts.resettable(&token).await.unwrap().is_some());
    house.clock.advance(Duration::from_mins(1));
    assert!(matches!(house.resets(&token, NEW).await, Err(NotFound { .. })));
    assert!(matches!(house.resets(&Ticket::new("never made"), NEW).await, Err(NotFound { .. })));
    assert!(house.login(ADA, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn whether_an_address_has_an_account_makes_no_difference_in_work() {
    let mut house = House::new();
    house.ada().await;
    let mut costs = Vec::new();
    for email in [ADA, "nobody@example.com", "bob@example.com", ADA] {
        house.settle().await;
        house.reads();
        house.writes();
        assert_eq!(house.forgot(email).await, Ok(()));
        let before = (house.reads(), house.writes());
        house.settle().await;
        costs.push((before, (house.reads(), house.writes())));
    }
    let ((reads, writes), _) = costs[0];
    assert_eq!((reads, writes), (1, 2), "before the answer");
    for cost in &costs {
        assert_eq!(cost.0, costs[0].0, "{costs:?}");
        // Behind the answer an audit record comes on top.
        assert_eq!(cost.1.0, costs[0].1.0, "{costs:?}");
    }
    let mut to = Vec::new();
    while let Ok(mail) = house.mails.try_recv() {
        to.push(mail.to.to_string());
    }
    assert_eq!(to, [ADA, ADA], "nobody else is written to");
}

#[tokio::test]
async fn too_many_are_answered_alike_and_from_one_network_refused() {
    let mut house = House::with(
        |settings| {
            settings.mails_per_hour = 3;
            settings.sign_ups_per_hour = 2;
        },
        true,
    );
    house.ada().await;
    for _ in 0..3 {
        assert_eq!(house.forgot(ADA).await, Ok(()));
    }
    house.settle().await;
    let came = std::iter::from_fn(|| house.mails.try_recv().ok()).count();
    assert_eq!(came, 2, "one of three went to the sign-up");
    let from = |n: u8| Some(IpAddr::from([198, 51, 100, n]));
    let nobody = EmailAddress::parse("nobody@example.com").unwrap();
    for _ in 0..2 {
        assert_eq!(house.accounts.forgot_password(nobody.clone(), from(1)).await, Ok(()));
    }
    let refused = house.accounts.forgot_password(nobody.clone(), from(1)).await;
    assert_eq!(refused, Err(Refusal::RateLimited { retry_after: Duration::from_mins(30) }));
    assert_eq!(house.accounts.forgot_password(nobody, from(2)).await, Ok(()));
}
