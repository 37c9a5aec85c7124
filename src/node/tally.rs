//! How many there are of each, up to a bound.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// By what they are counted. Clones are the same.
pub(super) struct Tally<K>(Arc<Mutex<HashMap<K, usize>>>);

/// One that is counted; dropped when it is over.
pub(super) struct Place<K: Eq + Hash> {
    tally: Tally<K>,
    key: K,
}

impl<K: Eq + Hash + Clone> Tally<K> {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Counts one more of `key`; `None` if there are `most`.
    pub(super) fn place(&self, key: K, most: usize) -> Option<Place<K>> {
        let mut counts = self.lock();
        let count = counts.entry(key.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Place { tally: Self(self.0.clone()), key })
    }
}

impl<K: Eq + Hash> Tally<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut counts = self.tally.lock();
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_each_and_come_back() {
        let tally = Tally::new();
        let held: Vec<_> = (0..10).map_while(|_| tally.place("a", 3)).collect();
        assert_eq!((held.len(), tally.place("b", 3).is_some()), (3, true));
        drop(held);
        assert!(tally.place("a", 3).is_some() && tally.lock().is_empty());
    }
}
