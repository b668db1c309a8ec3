//! The metrics that a thread has used, by their labels: to find one in the registry costs more than to count.

use std::cell::RefCell;

/// What was found by `K`, the last one used in front: a handful of routes and providers has most of the traffic.
pub(super) struct Seen<K, V>(RefCell<Vec<(K, V)>>);

impl<K, V> Seen<K, V> {
    pub const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    /// Uses what is there under the key that `is` knows, found by `find` where that is the first time.
    pub fn with(&self, is: impl Fn(&K) -> bool, find: impl FnOnce() -> (K, V), work: impl FnOnce(&V)) {
        let mut all = self.0.borrow_mut();
        match all.iter().position(|(known, _)| is(known)) {
            Some(place) => all.swap(0, place),
            None => all.insert(0, find()),
        }
        if let Some((_, value)) = all.first() {
            work(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_once() {
        let (seen, mut found, mut used) = (Seen::new(), 0, Vec::new());
        for key in [1, 2, 1, 3, 2, 1] {
            let find = || {
                found += 1;
                (key, key * 10)
            };
            seen.with(|known| *known == key, find, |value| used.push(*value));
        }
        assert_eq!((found, used), (3, vec![10, 20, 10, 30, 20, 10]));
    }
}
