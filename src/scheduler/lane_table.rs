//! The lanes of a scheduler by their numbers: looked up for every actor that becomes ready, so without a
//! lock; added to now and then, and never taken out.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::lane::Lane;

/// Lanes of the first chunk; each chunk has room for twice as many as the one before.
const FIRST: usize = 8;
/// Chunks, enough for every number.
const CHUNKS: usize = 29;

type Chunk = Box<[OnceLock<Arc<Lane>>]>;

pub(super) struct LaneTable {
    chunks: [OnceLock<Chunk>; CHUNKS],
    count: Mutex<usize>,
}

impl LaneTable {
    pub(super) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], count: Mutex::new(0) }
    }

    /// Adds the lane that `make` gives for its number. Numbers begin at 1.
    pub(super) fn add(&self, make: impl FnOnce(u32) -> Arc<Lane>) -> Arc<Lane> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let (chunk, place) = place(*count);
        let id = u32::try_from(*count + 1).expect("fewer lanes than numbers");
        let places =
            self.chunks[chunk].get_or_init(|| (0..FIRST << chunk).map(|_| OnceLock::new()).collect());
        let lane = places[place].get_or_init(|| make(id)).clone();
        *count += 1;
        lane
    }

    /// The lane of this number.
    pub(super) fn get(&self, id: u32) -> Option<&Arc<Lane>> {
        let (chunk, place) = place((id as usize).checked_sub(1)?);
        self.chunks.get(chunk)?.get()?.get(place)?.get()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Lane>> {
        (1..=u32::MAX).map_while(|id| self.get(id))
    }
}

/// The chunk of the lane with this index, and its place there.
fn place(index: usize) -> (usize, usize) {
    let chunk = (index / FIRST + 1).ilog2() as usize;
    (chunk, index - FIRST * ((1 << chunk) - 1))
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn lanes_are_found_by_the_numbers_they_were_given() {
        let io = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let table = LaneTable::new();
        let add = |name: &str| {
            table.add(|id| Arc::new(Lane::unwatched(id, name, Weak::new(), io.handle().clone())))
        };
        assert!(table.get(0).is_none() && table.get(1).is_none() && table.get(u32::MAX).is_none());
        for number in 1..=100 {
            assert_eq!(add(&number.to_string()).id(), number);
        }
        let names = table.iter().map(|lane| lane.name().to_owned());
        assert!(names.eq((1..=100).map(|number: u32| number.to_string())));
        assert_eq!(table.get(77).map(|lane| lane.name()), Some("77"));
        assert!(table.get(101).is_none());
    }
}
