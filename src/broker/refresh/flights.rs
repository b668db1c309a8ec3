//! One piece of work for a key at a time in this process: who comes while it is under way hears its outcome.
//!
//! `interleavings` tries the orders in which this can happen, over other locks than the standard ones.

use super::sync::{Arc, Mutex, PoisonError};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::collections::HashMap;
use std::hash::Hash;

/// The flights that are under way. A key is there from when its flight is taken off until its [`Landing`] is dropped.
pub(in crate::broker) struct Flights<K, T: Clone>(Mutex<HashMap<K, Flight<T>>>);

/// What everybody who is aboard waits for. It begins when the first of them waits.
pub(super) type Flight<T> = Shared<BoxFuture<'static, T>>;

/// To be held by the work, and dropped when it ends, however it does.
pub(super) struct Landing<K: Eq + Hash, T: Clone> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::new(HashMap::new()))
    }
}

impl<K: Clone + Eq + Hash, T: Clone> Flights<K, T> {
    /// The flight of that key; `take_off` makes one where there is none. The caller waits for it at once: nobody else may come
    /// to do so.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &K,
        take_off: impl FnOnce(Landing<K, T>) -> BoxFuture<'static, T>,
    ) -> Flight<T> {
        // A panic while the table was held left it whole: every change of it is one call.
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = table.get(key) {
            return flight.clone();
        }
        let flight = take_off(Landing { flights: Arc::clone(self), key: key.clone() }).shared();
        table.insert(key.clone(), flight.clone());
        flight
    }
}

impl<K: Eq + Hash, T: Clone> Drop for Landing<K, T> {
    fn drop(&mut self) {
        let flight = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        // What it holds is let go without the lock.
        drop(flight);
    }
}
