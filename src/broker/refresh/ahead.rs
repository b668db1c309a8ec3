//! What is to come for a connection: when the server refreshes it by itself, and when its end user has to agree again. No I/O.
//!
//! A connection that was used lately is refreshed a little before a caller would have to wait for it; any one before its refresh
//! token dies unused. Each time is drawn from a span, so that what was connected together is not refreshed together.

use crate::catalog::{Provider, RefreshWith};
use crate::domain::Timestamp;
use crate::vault::Plan;
use std::time::Duration;

/// A refresh token that dies sooner than this unused is not kept alive by itself: that would be a refresh every few minutes.
const SHORTEST_IDLE: Duration = Duration::from_hours(1);
/// After a failure that only the tenant can mend, or of a connection that nobody uses.
const SELDOM: Duration = Duration::from_hours(1);

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct AheadSettings {
    /// Refresh without being asked.
    pub background: bool,
    /// A connection that was handed out in this time is used.
    pub used_within: Duration,
    /// How long before its end a grant is reported.
    pub notice: Duration,
}

/// What a plan is made of.
#[derive(Clone, Copy, Debug)]
pub(in crate::broker) struct Prospect<'a> {
    pub provider: &'a Provider,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub has_refresh_token: bool,
    /// When the refresh token ends.
    pub refresh_expires_at: Option<Timestamp>,
    /// The last refresh moved that end.
    pub slides: bool,
    /// When the end user agreed.
    pub connected_at: Timestamp,
    /// When a token of it was last handed out.
    pub used_at: Option<Timestamp>,
    /// It was reported that it ends.
    pub told: bool,
    pub now: Timestamp,
    /// From 0 to 255.
    pub dice: u8,
}

impl AheadSettings {
    /// What is to come after a success.
    pub(in crate::broker) fn plan(&self, of: &Prospect<'_>) -> Plan {
        let reauthorize_by = of.ends_for_good();
        let notice = reauthorize_by.filter(|_| !of.told).map(|end| self.notice_of(of, end));
        let renewal = if self.background && of.renewable() { self.renewal(of) } else { None };
        let due_at = [notice, renewal].into_iter().flatten().min().map(|at| at.max(of.now));
        Plan { due_at, reauthorize_by }
    }

    /// When to try again after a failure, where a caller may try from `retry_at` on; `hopeless` is one that only the tenant can
    /// mend.
    pub(in crate::broker) fn again(
        &self,
        used_at: Option<Timestamp>,
        retry_at: Timestamp,
        hopeless: bool,
        (now, dice): (Timestamp, u8),
    ) -> Option<Timestamp> {
        let seldom = hopeless || !self.is_used(used_at, now);
        let from = if seldom { retry_at.max(now.plus(SELDOM)) } else { retry_at };
        self.background.then(|| spread(from, from.plus(from.since(now)), dice))
    }

    /// When it has to be reported that the grant ends.
    pub(in crate::broker) fn notice_of(&self, of: &Prospect<'_>, end: Timestamp) -> Timestamp {
        end.minus(self.notice.min(end.since(of.connected_at) / 3))
    }

    /// True where a token of it was handed out lately.
    pub(in crate::broker) fn is_used(&self, used_at: Option<Timestamp>, now: Timestamp) -> bool {
        used_at.is_some_and(|at| now.since(at) < self.used_within)
    }

    fn renewal(&self, of: &Prospect<'_>) -> Option<Timestamp> {
        let before_its_end =
            if self.is_used(of.used_at, of.now) { of.expires_at.map(|end| of.before(end)) } else { None };
        let idle = of.provider.refresh.idle_limit.filter(|_| of.has_refresh_token);
        let said = of.refresh_expires_at.map(|end| end.since(of.issued_at));
        let alive = [idle, said].into_iter().flatten().min().filter(|span| *span >= SHORTEST_IDLE);
        let alive = alive
            .map(|span| spread(of.issued_at.plus(span / 10 * 6), of.issued_at.plus(span / 10 * 8), of.dice));
        [before_its_end, alive].into_iter().flatten().min()
    }
}

impl Prospect<'_> {
    fn renewable(&self) -> bool {
        self.has_refresh_token || self.provider.refresh.send == RefreshWith::AccessToken
    }

    /// The end that no refresh moves.
    fn ends_for_good(&self) -> Option<Timestamp> {
        let limit = self.provider.refresh.absolute_limit.filter(|_| self.renewable());
        let absolute = limit.map(|span| self.connected_at.plus(span));
        let moves = self.slides || self.provider.refresh.idle_limit.is_some();
        let said = self.refresh_expires_at.filter(|_| !moves);
        [absolute, said].into_iter().flatten().min()
    }

    /// A moment before a caller would have to wait: between one and two margins before the end, never in the first half of the
    /// life, nor before the provider allows it.
    fn before(&self, end: Timestamp) -> Timestamp {
        let lifetime = end.since(self.issued_at);
        let margin = self.provider.margin(lifetime);
        let first = end.minus(margin * 2).max(self.issued_at.plus(lifetime / 2));
        let last = end.minus(margin + margin / 8).max(first);
        let allowed = self.issued_at.plus(self.provider.refresh.min_age.unwrap_or_default());
        spread(first, last, self.dice).max(allowed)
    }
}

/// A moment of a span.
fn spread(from: Timestamp, to: Timestamp, dice: u8) -> Timestamp {
    from.plus(to.since(from) * u32::from(dice) / 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{BUILT_IN, Catalog};
    use crate::domain::ProviderId;
    use proptest::prelude::*;
    use std::sync::Arc;

    const DAY: Duration = Duration::from_hours(24);
    const USUAL: AheadSettings = AheadSettings {
        background: true,
        used_within: Duration::from_hours(168),
        notice: Duration::from_hours(336),
    };

    fn provider(change: impl FnOnce(&mut Provider)) -> Provider {
        let catalog = Catalog::load(BUILT_IN, &[], true).unwrap();
        let sandbox = catalog.get(&ProviderId::parse("sandbox").unwrap()).unwrap();
        let mut provider = Provider::clone(&Arc::clone(sandbox));
        (provider.refresh.idle_limit, provider.refresh.absolute_limit) = (None, None);
        (provider.refresh.margin, provider.refresh.min_age) = (None, None);
        change(&mut provider);
        provider
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    /// Connected, issued and used at 0, lives an hour.
    fn prospect(provider: &Provider) -> Prospect<'_> {
        Prospect {
            provider,
            issued_at: at(0),
            expires_at: Some(at(3600)),
            has_refresh_token: true,
            refresh_expires_at: None,
            slides: false,
            connected_at: at(0),
            used_at: Some(at(0)),
            told: false,
            now: at(0),
            dice: 0,
        }
    }

    #[test]
    fn what_is_used_is_refreshed_before_callers_wait() {
        let provider = provider(|_| ());
        // The margin of an hour is 5 minutes.
        for (dice, due) in [(0, 3600 - 600), (255, 3600 - 337)] {
            let plan = USUAL.plan(&Prospect { dice, ..prospect(&provider) });
            let within = plan.due_at.unwrap().since(at(due));
            assert!(within < Duration::from_secs(2), "{dice}: {plan:?}");
        }
        let unused = Prospect { used_at: Some(at(-8 * 86400)), ..prospect(&provider) };
        assert_eq!(USUAL.plan(&unused), Plan::default());
        let off = AheadSettings { background: false, ..USUAL };
        assert_eq!(off.plan(&prospect(&provider)), Plan::default());
        let nothing_to_send = Prospect { has_refresh_token: false, ..prospect(&provider) };
        assert_eq!(USUAL.plan(&nothing_to_send), Plan::default());
    }

    #[test]
    fn what_would_die_unused_is_kept_alive() {
        let provider = provider(|p| p.refresh.idle_limit = Some(DAY * 90));
        for (dice, days) in [(0, 54), (255, 72)] {
            let idle = Prospect { used_at: None, dice, ..prospect(&provider) };
            assert_eq!(USUAL.plan(&idle).due_at, Some(at(days * 86400)));
        }
        let short = self::provider(|p| p.refresh.idle_limit = Some(Duration::from_mins(20)));
        assert_eq!(USUAL.plan(&Prospect { used_at: None, ..prospect(&short) }).due_at, None);
    }

    #[test]
    fn an_end_for_good_is_told_in_time_and_once() {
        let provider = provider(|p| p.refresh.absolute_limit = Some(DAY * 365));
        let idle = Prospect { used_at: None, ..prospect(&provider) };
        let end = at(365 * 86400);
        assert_eq!(USUAL.plan(&idle), Plan { due_at: Some(end.minus(DAY * 14)), reauthorize_by: Some(end) });
        assert_eq!(
            USUAL.plan(&Prospect { told: true, ..idle }),
            Plan { due_at: None, reauthorize_by: Some(end) }
        );
        let short = self::provider(|p| p.refresh.absolute_limit = Some(DAY * 9));
        let idle = Prospect { used_at: None, ..prospect(&short) };
        assert_eq!(USUAL.plan(&idle).due_at, Some(at(6 * 86400)), "a third of a short life");
    }

    #[test]
    fn an_end_that_refreshes_move_is_none() {
        let provider = provider(|_| ());
        let said =
            Prospect { used_at: None, refresh_expires_at: Some(at(60 * 86400)), ..prospect(&provider) };
        assert_eq!(USUAL.plan(&said).reauthorize_by, Some(at(60 * 86400)));
        let moved = Prospect { slides: true, ..said };
        assert_eq!(USUAL.plan(&moved), Plan { due_at: Some(at(36 * 86400)), reauthorize_by: None });
    }

    #[test]
    fn after_a_failure_it_is_tried_again_seldom_where_that_helps_nobody() {
        let (used, now) = (Some(at(0)), at(10));
        let minute = at(70);
        assert_eq!(USUAL.again(used, minute, false, (now, 0)), Some(minute));
        assert_eq!(USUAL.again(used, minute, false, (now, 255)), Some(at(130)));
        assert_eq!(USUAL.again(used, minute, true, (now, 0)), Some(at(3610)));
        assert_eq!(USUAL.again(None, minute, false, (now, 0)), Some(at(3610)));
        let off = AheadSettings { background: false, ..USUAL };
        assert_eq!(off.again(used, minute, false, (now, 0)), None);
    }

    proptest! {
        #[test]
        fn a_plan_lies_in_the_future_and_before_the_end(
            life in 1_i64..10_000_000, margin in proptest::option::of(1_u64..100_000), dice: u8, now in 0_i64..10_000_000
        ) {
            let provider = provider(|p| p.refresh.margin = margin.map(Duration::from_secs));
            let of = Prospect { expires_at: Some(at(life)), now: at(now), used_at: Some(at(now)), dice, ..prospect(&provider) };
            let due = USUAL.plan(&of).due_at.unwrap();
            prop_assert!(due >= at(now));
            prop_assert!(due <= at(life).max(at(now)));
            prop_assert!(due >= at(life / 2));
        }
    }
}
