//! Which passwords were found right within the last minute, so that a caller who sends one with every request does not
//! cost a hash each time.
//!
//! What is kept is no password and opens nothing: a name under this process's key, and the SHA-256 of the hash that the
//! password matched. It counts only while the member's record still holds that hash, so a password change ends it on every
//! server at once. Callers who come together with the same password wait for one hash.

use super::veil::Veiled;
use crate::crypto::hash::{same, sha256};
use crate::domain::{MemberId, TenantId};
use crate::vault::Member;
use quick_cache::sync::{Cache, DefaultLifecycle, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, UnitWeighter};
use std::time::Duration;

/// How long an entry counts.
const KEPT: Duration = Duration::from_mins(1);
/// How many are kept, some 200 bytes each.
const LOGINS: usize = 10_000;

/// A member whose password was found right.
#[derive(Clone)]
pub(super) struct Seen {
    pub tenant: TenantId,
    pub member: MemberId,
    hash: [u8; 32],
    at: Duration,
}

impl Seen {
    pub fn new(member: &Member, at: Duration) -> Self {
        let hash = sha256(member.password_hash.as_bytes());
        Self { tenant: member.tenant.clone(), member: member.id.clone(), hash, at }
    }

    fn counts(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) < KEPT
    }

    /// True when the record still says what it said then.
    pub fn still(&self, member: &Member, email: &str) -> bool {
        member.email.as_str() == email && same(&self.hash, &sha256(member.password_hash.as_bytes()))
    }
}

/// The memo.
pub(super) struct Memo(Cache<Veiled, Seen>);

/// What the memo says of a login.
pub(super) enum Look<'a> {
    /// It was right, a minute ago at most.
    Seen(Seen),
    /// Nothing; whoever holds this finds out, and others with the same password wait until it is dropped.
    First(First<'a>),
}

/// The duty to find out. Dropped without a word, it passes to the next one who waits.
pub(super) struct First<'a>(Place<'a>);

type Place<'a> =
    PlaceholderGuard<'a, Veiled, Seen, UnitWeighter, DefaultHashBuilder, DefaultLifecycle<Veiled, Seen>>;

impl First<'_> {
    /// The password is right.
    pub fn remember(self, seen: Seen) {
        // Refused only where the place was evicted in this moment: then it is found out again.
        let _ = self.0.insert(seen);
    }
}

impl Memo {
    pub fn new() -> Self {
        Self(Cache::new(LOGINS))
    }

    /// What is known of a login at this time of the process.
    pub fn seen(&self, login: &Veiled, now: Duration) -> Option<Seen> {
        self.0.get(login).filter(|seen| seen.counts(now))
    }

    /// The same, after those who are finding it out; where nobody is, the duty to.
    pub async fn look(&self, login: &Veiled, now: Duration) -> Look<'_> {
        self.0.remove_if(login, |seen| !seen.counts(now));
        match self.0.get_value_or_guard_async(login).await {
            Ok(seen) => Look::Seen(seen),
            Err(place) => Look::First(First(place)),
        }
    }

    /// Drops what turned out to hold no longer, and nothing that was found out since.
    pub fn forget(&self, login: &Veiled, stale: &Seen) {
        self.0.remove_if(login, |seen| seen.at == stale.at && seen.hash == stale.hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EmailAddress, Id};

    fn member(hash: &str) -> Member {
        Member {
            id: MemberId::parse("0123456789abcdef").unwrap(),
            tenant: TenantId::parse("0123456789abcdefghijAB").unwrap(),
            email: EmailAddress::parse("ada@example.com").unwrap(),
            password_hash: hash.to_owned(),
        }
    }

    #[tokio::test]
    async fn counts_for_a_minute() {
        let (memo, login, start) = (Memo::new(), [1; 32], Duration::from_secs(9));
        let Look::First(first) = memo.look(&login, start).await else { panic!("known before it was seen") };
        first.remember(Seen::new(&member("a"), start));
        assert!(memo.seen(&login, start + Duration::from_millis(59_999)).is_some());
        assert!(memo.seen(&[2; 32], start).is_none());
        assert!(memo.seen(&login, start + KEPT).is_none());
        assert!(matches!(memo.look(&login, start).await, Look::Seen(_)));
        assert!(matches!(memo.look(&login, start + KEPT).await, Look::First(_)));
    }

    #[tokio::test]
    async fn those_who_come_together_wait_for_the_first() {
        let (memo, login) = (Memo::new(), [1; 32]);
        let Look::First(first) = memo.look(&login, Duration::ZERO).await else { panic!("not the first") };
        let mut others: Vec<_> = (0..2).map(|_| Box::pin(memo.look(&login, Duration::ZERO))).collect();
        for other in &mut others {
            assert!(futures_util::poll!(other).is_pending());
        }
        drop(first);
        let (look, _, mut others) = futures_util::future::select_all(others).await;
        let Look::First(first) = look else { panic!("nothing was found out") };
        let other = others.pop().unwrap();
        first.remember(Seen::new(&member("a"), Duration::ZERO));
        assert!(matches!(other.await, Look::Seen(_)));
    }

    #[test]
    fn a_changed_record_ends_it() {
        let seen = Seen::new(&member("a"), Duration::ZERO);
        assert!(seen.still(&member("a"), "ada@example.com"));
        assert!(!seen.still(&member("b"), "ada@example.com"));
        assert!(!seen.still(&member("a"), "eve@example.com"));
    }
}
