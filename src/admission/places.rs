//! Places in which requests are answered. All may be taken, and a tenant may hold as many as are free: alone it gets half of
//! them, beside another a third, and there is always room for one that comes (dynamic thresholds with alpha 1, Choudhury and
//! Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", IEEE/ACM Transactions on Networking 6(2),
//! 1998). Atomic numbers only: this is asked on every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tenants are counted by their hash. Two that fall together share a share, which either notices only when it is crowded.
const COUNTS: usize = 16_384;

/// So many places.
pub struct Places {
    all: usize,
    taken: AtomicUsize,
    of_tenants: Box<[AtomicUsize]>,
}

/// None is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Places {
    /// All free.
    pub fn new(all: usize) -> Self {
        let of_tenants = (0..COUNTS).map(|_| AtomicUsize::new(0)).collect();
        Self { all, taken: AtomicUsize::new(0), of_tenants }
    }

    /// Takes one, until it is dropped.
    pub fn enter(self: &Arc<Self>) -> Result<Place, Full> {
        // Counted first and looked at then: of two that come for the last place one at most is let in.
        let place = Place { places: Arc::clone(self), tenant: None };
        if self.taken.fetch_add(1, Ordering::Relaxed) >= self.all { Err(Full) } else { Ok(place) }
    }

    fn free(&self) -> usize {
        self.all.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    fn count(&self, place: usize) -> Option<&AtomicUsize> {
        self.of_tenants.get(place)
    }
}

/// A place that is taken.
pub struct Place {
    places: Arc<Places>,
    tenant: Option<usize>,
}

impl Place {
    /// Counts it for the tenant of that hash too.
    pub fn count_for(&mut self, hash: u64) -> Result<(), Full> {
        let place = usize::try_from(hash % u64::try_from(COUNTS).unwrap_or(1)).unwrap_or_default();
        if self.tenant.is_some() {
            return Ok(());
        }
        let Some(count) = self.places.count(place) else { return Ok(()) };
        let others = count.fetch_add(1, Ordering::Relaxed);
        self.tenant = Some(place);
        if others > 0 && others >= self.places.free() { Err(Full) } else { Ok(()) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(count) = self.tenant.and_then(|place| self.places.count(place)) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>, tenant: u64) -> Option<Place> {
        let mut place = places.enter().ok()?;
        place.count_for(tenant).ok().map(|()| place)
    }

    fn fill(places: &Arc<Places>, tenant: u64) -> Vec<Place> {
        std::iter::from_fn(|| take(places, tenant)).collect()
    }

    #[test]
    fn one_tenant_leaves_half_and_two_leave_a_third() {
        let places = Arc::new(Places::new(12));
        let first = fill(&places, 1);
        assert_eq!(first.len(), 6);
        let second = fill(&places, 2);
        assert_eq!(second.len(), 3);
        assert!(take(&places, 1).is_none());
        assert!(take(&places, 3).is_some());
        drop(first);
        assert_eq!(fill(&places, 2).len(), 3, "it has six now");
        assert_eq!(places.of_tenants[2].load(Ordering::Relaxed), 3);
    }

    #[test]
    fn all_are_taken_and_come_back() {
        let places = Arc::new(Places::new(3));
        let strangers: Vec<Place> = std::iter::from_fn(|| places.enter().ok()).collect();
        assert_eq!(strangers.len(), 3);
        assert_eq!(places.enter().err(), Some(Full));
        drop(strangers);
        assert_eq!((places.free(), fill(&places, 1).len()), (3, 1));
        assert_eq!(places.free(), 3);
    }

    #[test]
    fn one_place_serves_one_tenant_after_the_other() {
        let places = Arc::new(Places::new(1));
        assert_eq!(fill(&places, 1).len(), 1);
        assert_eq!(fill(&places, 2).len(), 1);
    }
}
