//! The same thing many times at once.

use super::{World, authorized, depart};
use crate::on_both_stores;
use crate::support::app::Stores;
use crate::support::browser::Browser;
use grantkeep::sandbox::{Endpoint, Fault, Rule};
use std::collections::BTreeMap;

const CROWD: usize = 50;

/// Runs all at once; how often each result came.
async fn tally<T: Ord + Send + 'static>(
    work: Vec<impl Future<Output = T> + Send + 'static>,
) -> BTreeMap<T, usize> {
    let running: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    let mut seen = BTreeMap::new();
    for one in running {
        *seen.entry(one.await.expect("it ended")).or_default() += 1;
    }
    seen
}

on_both_stores!(of_many_returns_at_once_one_is_taken, |stores: Stores| async move {
    let world = World::new(stores).await;
    let mut browser = Browser::new();
    let back = depart(&mut browser, &world.tenant.begin("u").await).await;
    let returns = (0..CROWD).map(|_| {
        let (mut browser, back) = (browser.clone(), back.clone());
        async move {
            let page = browser.get(back.as_str()).await;
            (page.status.as_u16(), page.parameter("completion"))
        }
    });
    let seen = tally(returns.collect()).await;
    assert_eq!(seen.get(&(403, None)), Some(&(CROWD - 1)), "{seen:?}");
    let completion = seen.keys().find_map(|(_, completion)| completion.clone()).expect("one was taken");
    world.tenant.complete(&completion, "u").await.expect(201);
    assert_eq!(world.exchange_requests(), 1);
});

on_both_stores!(of_many_openings_that_return_at_once_one_is_taken, |stores: Stores| async move {
    const BROWSERS: usize = 10;
    let world = World::new(stores).await;
    let link = world.tenant.begin("u").await;
    let mut returns = Vec::new();
    for _ in 0..BROWSERS {
        let mut browser = Browser::new();
        let back = depart(&mut browser, &link).await;
        returns.push(async move { browser.get(back.as_str()).await.status.as_u16() });
    }
    assert_eq!(tally(returns).await, BTreeMap::from([(303, 1), (410, BROWSERS - 1)]));
});

on_both_stores!(of_many_completions_at_once_one_exchanges, |stores: Stores| async move {
    let world = World::new(stores).await;
    // Long enough for the others to meet the one.
    world.sandbox.control().fault(Rule::new(Endpoint::Token, Fault::Delay(200)));
    let completion = world.completion("u").await;
    let completions = (0..CROWD).map(|_| {
        let (tenant, completion) = (world.tenant.clone(), completion.clone());
        async move {
            let answer = tenant.complete(&completion, "u").await;
            (answer.status, answer.code().to_owned())
        }
    });
    let seen = tally(completions.collect()).await;
    let count = |status, code: &str| seen.get(&(status, code.to_owned())).copied().unwrap_or_default();
    assert_eq!(count(201, ""), 1, "{seen:?}");
    assert_eq!(count(409, "conflict") + count(410, "session_expired"), CROWD - 1, "{seen:?}");
    assert_eq!(world.exchange_requests(), 1);
    assert_eq!(world.connections().await, 1);
});

// Whichever comes first, there is either the right connection or none.
on_both_stores!(a_wrong_finisher_beside_the_right_one, |stores: Stores| async move {
    let world = World::new(stores).await;
    for _ in 0..5 {
        let before = world.exchange_requests();
        let completion = world.completion("u").await;
        let (right, wrong) = tokio::join!(
            world.tenant.complete(&completion, "u"),
            world.tenant.complete(&completion, "other")
        );
        assert!(matches!(right.status, 201 | 409 | 410), "{right:?}");
        assert!(matches!(wrong.status, 409 | 410), "{wrong:?}");
        assert_eq!(world.exchange_requests() - before, u64::from(right.status == 201), "{right:?} {wrong:?}");
        assert_eq!(world.tenant.token("other").await.status, 404);
    }
});

// Two sessions of one end user that end at once: both grants came, the later one stays, under one id.
on_both_stores!(two_sessions_of_one_end_user_end_at_once, |stores: Stores| async move {
    let world = World::new(stores).await;
    let (one, two) = (world.completion("u").await, world.completion("u").await);
    let (one, two) = tokio::join!(world.tenant.complete(&one, "u"), world.tenant.complete(&two, "u"));
    let (one, two) = (one.expect(201), two.expect(201));
    assert_eq!(one.text("id"), two.text("id"));
    assert_eq!(world.connections().await, 1);
    assert_eq!(world.tenant.token("u").await.expect(200).body["generation"], 2);
    authorized_still_works(&world).await;
});

async fn authorized_still_works(world: &World) {
    let mut browser = Browser::new();
    let back = depart(&mut browser, &world.tenant.begin("u").await).await;
    authorized(&browser.get(back.as_str()).await);
}
