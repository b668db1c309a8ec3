//! A map that cannot grow without end: at its limit the oldest entry makes room.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Entries a map holds at most: far more than a test or a load run has alive at once, some tens of megabytes in all.
const LIMIT: usize = 100_000;

pub(super) struct Bounded<K, V> {
    entries: HashMap<K, V>,
    /// In order of arrival; may name entries that are gone already.
    order: VecDeque<K>,
}

impl<K, V> Default for Bounded<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    /// Adds an entry whose key was never used before.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.order.len() >= LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.entries.insert(key, value);
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut map = Bounded::default();
        for key in 0..=LIMIT {
            map.insert(key, ());
        }
        assert_eq!(map.iter().count(), LIMIT);
        assert!(map.get(&0).is_none() && map.get(&1).is_some());
    }
}
