//! The flights once more, over locks of which every order of taking can be tried (shuttle): whoever comes when, one flies at a
//! time, and nobody hears of one that was down before.

use shuttle::sync;

#[expect(clippy::duplicate_mod, reason = "the same file over other locks, which is the point")]
#[path = "flights.rs"]
mod flights;

use flights::{Flights, Landing};
use futures_util::FutureExt;
use shuttle::future::{block_on, spawn, yield_now};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many come, and how often each.
const CALLERS: usize = 3;
const TIMES: usize = 2;

/// A watch that is read and goes on in one step.
#[derive(Default)]
struct Ticks(AtomicUsize);

impl Ticks {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// What a flight does: flies alone, is interrupted anywhere, comes down, and says when it was down.
async fn fly(landing: Landing<u8, usize>, flies: Arc<AtomicBool>, ticks: Arc<Ticks>) -> usize {
    assert!(!flies.swap(true, Ordering::SeqCst), "two fly at once");
    yield_now().await;
    assert!(flies.swap(false, Ordering::SeqCst));
    drop(landing);
    ticks.next()
}

async fn call(flights: Arc<Flights<u8, usize>>, flies: Arc<AtomicBool>, ticks: Arc<Ticks>) -> usize {
    let mut own = 0;
    for _ in 0..TIMES {
        let came = ticks.next();
        let flight = flights.join(&1, |landing| {
            own += 1;
            let (flies, ticks) = (Arc::clone(&flies), Arc::clone(&ticks));
            let work = fly(landing, flies, ticks);
            // As in the server: the work goes on whether or not the caller stays.
            async move { spawn(work).await.expect("it does not panic") }.boxed()
        });
        let ended = flight.await;
        assert!(ended > came, "came at {came}, and heard of a flight that was down at {ended}");
    }
    own
}

/// True where no flight is under way.
fn is_empty<T: Clone + Send + Sync + 'static>(flights: &Arc<Flights<u8, T>>) -> bool {
    let waits_for_ever = |landing: Landing<u8, T>| async move {
        let _landing = landing;
        std::future::pending().await
    };
    let mut is_new = false;
    drop(flights.join(&1, |landing| {
        is_new = true;
        waits_for_ever(landing).boxed()
    }));
    is_new
}

fn callers() {
    let (flights, flies, ticks) = (Arc::default(), Arc::default(), Arc::default());
    let all: Vec<_> = (0..CALLERS)
        .map(|_| spawn(call(Arc::clone(&flights), Arc::clone(&flies), Arc::clone(&ticks))))
        .collect();
    let own: usize = all.into_iter().map(|one| block_on(one).expect("it does not panic")).sum();
    assert!((TIMES..=CALLERS * TIMES).contains(&own), "{own} flights");
    assert!(is_empty(&flights), "a flight that has ended is on the table");
}

#[test]
fn one_flies_at_a_time_in_any_order() {
    shuttle::check_random(callers, 3_000);
    shuttle::check_pct(callers, 3_000, 3);
}

/// What panics comes down, too.
#[test]
fn a_flight_that_fails_makes_way() {
    let fails = || {
        let flights: Arc<Flights<u8, bool>> = Arc::default();
        let other = Arc::clone(&flights);
        let join = |flights: &Arc<Flights<u8, bool>>| {
            flights.join(&1, |landing| {
                let work = async move {
                    let _landing = landing;
                    yield_now().await;
                    // Without the hook, which would write down each of thousands.
                    std::panic::resume_unwind(Box::new("an error of ours"))
                };
                async move { AssertUnwindSafe(work).catch_unwind().await.is_ok() }.boxed()
            })
        };
        let beside = spawn(async move { join(&other).await });
        assert!(!block_on(join(&flights)));
        assert!(!block_on(beside).expect("it is told"));
        assert!(is_empty(&flights), "a flight that has failed is on the table");
    };
    shuttle::check_random(fails, 1_000);
}

/// Who leaves before the end keeps nobody from hearing it.
#[test]
fn whoever_leaves_the_others_hear() {
    let leaves = || {
        let flights: Arc<Flights<u8, usize>> = Arc::default();
        let (flies, ticks) = (Arc::default(), Arc::default());
        let leaver = spawn(call(Arc::clone(&flights), Arc::clone(&flies), Arc::clone(&ticks)));
        let stayer = spawn(call(Arc::clone(&flights), Arc::clone(&flies), Arc::clone(&ticks)));
        leaver.abort();
        block_on(stayer).expect("it hears of its flights");
    };
    shuttle::check_random(leaves, 3_000);
}
