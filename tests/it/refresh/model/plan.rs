//! What befalls the workers of a case.

use proptest::prelude::*;
use std::time::Duration;

/// As many as there are in the fleet.
pub const WORKERS: usize = 3;

/// At one step towards the store or the disk.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// The process stands still, before it asks and after it was answered, in milliseconds.
    Stands { before: u32, after: u32 },
    /// The process dies, before it asks.
    DiesBefore,
    /// The process dies; what it asked has happened.
    DiesAfter,
    /// It is not asked.
    Unreached,
    /// The answer is lost; what was asked happens so many milliseconds later.
    Unheard { later: u32 },
}

/// At one request to the provider.
#[derive(Clone, Copy, Debug)]
pub enum Errand {
    /// The process stands still before it sends, and after it was answered, in milliseconds.
    Stands { before: u32, after: u32 },
    /// The way takes so many milliseconds.
    Travels { there: u32, back: u32 },
    /// The process dies so many milliseconds after it has sent.
    Dies { after: u32 },
    /// Nothing is sent.
    Unsent,
    /// It takes effect, and the connection breaks.
    Broken,
    /// The provider says that it cannot, and does nothing.
    Busy,
    /// It takes effect, and the answer makes no sense.
    Garbled,
}

/// What somebody does with a worker.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Asks it for a token.
    Ask,
    /// Asks it for a newer token.
    Force,
    /// Lets it look for what is due.
    Round,
    /// Lets it delete the connection, and bring a new grant along in its place.
    Replace,
    /// Kills it.
    Kill,
    /// Asks it to stop, and kills it when it has.
    Stop,
    /// Starts it where it does not run.
    Start,
}

/// What befalls the workers. Steps and errands have numbers, by worker.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// How far each worker's clock is ahead, in seconds.
    pub clocks: [i64; WORKERS],
    pub acts: Vec<(Duration, usize, Act)>,
    pub steps: Vec<(usize, usize, Fate)>,
    pub errands: Vec<(usize, usize, Errand)>,
}

/// How long there are acts.
const STORM: u64 = 180;

fn lag() -> impl Strategy<Value = u32> {
    // Of the length of a step, of a request, and of an attempt and longer.
    prop_oneof![3 => 0_u32..50, 2 => 50_u32..8_000, 2 => 8_000_u32..60_000]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => (lag(), lag()).prop_map(|(before, after)| Fate::Stands { before, after }),
        2 => Just(Fate::DiesBefore),
        2 => Just(Fate::DiesAfter),
        2 => Just(Fate::Unreached),
        2 => lag().prop_map(|later| Fate::Unheard { later }),
    ]
}

fn errand() -> impl Strategy<Value = Errand> {
    prop_oneof![
        2 => (lag(), lag()).prop_map(|(before, after)| Errand::Stands { before, after }),
        3 => (lag(), lag()).prop_map(|(there, back)| Errand::Travels { there, back }),
        3 => lag().prop_map(|after| Errand::Dies { after }),
        1 => Just(Errand::Unsent),
        2 => Just(Errand::Broken),
        1 => Just(Errand::Busy),
        1 => Just(Errand::Garbled),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Ask),
        3 => Just(Act::Force),
        2 => Just(Act::Round),
        1 => Just(Act::Replace),
        1 => Just(Act::Kill),
        1 => Just(Act::Stop),
        2 => Just(Act::Start),
    ]
}

/// Any plan.
pub fn plans() -> impl Strategy<Value = Plan> {
    let at = (0..STORM * 1000).prop_map(Duration::from_millis);
    // Many at one moment: a race needs company.
    let at = prop_oneof![2 => at, 1 => Just(Duration::from_secs(5))];
    let clock = prop_oneof![2 => Just(0_i64), 1 => -600_i64..600];
    (
        any::<u64>(),
        [clock.clone(), clock.clone(), clock],
        prop::collection::vec((at, 0..WORKERS, act()), 3..40),
        prop::collection::vec((0..WORKERS, 0..150_usize, fate()), 0..12),
        prop::collection::vec((0..WORKERS, 0..8_usize, errand()), 0..8),
    )
        .prop_map(|(seed, clocks, mut acts, steps, errands)| {
            acts.sort_by_key(|(at, ..)| *at);
            Plan { seed, clocks, acts, steps, errands }
        })
}
