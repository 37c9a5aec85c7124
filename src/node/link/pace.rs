//! How much a lane is given at a time.
//!
//! What is in a batch is in front of everything that comes later. So a batch is no longer than what its lane takes in a
//! moment, and on a slow path it is the queues, where receivers take turns, in which messages wait.

use std::time::Duration;

use crate::transport::LaneClass;

/// A batch of a lane that takes everything at once.
pub(super) const BATCH: usize = 64 << 10;
/// The same of large payloads, which hold up no receiver: each write and each CHUNK costs both sides something.
pub(super) const BULK_BATCH: usize = 256 << 10;
/// The shortest.
const LEAST: usize = 4 << 10;
/// A batch should be written in this time.
const MOMENT: Duration = Duration::from_millis(10);

/// The pace of one lane.
pub(super) struct Pace {
    longest: usize,
    batch: usize,
}

impl Pace {
    /// Batches of a lane of this class. The first is no longer than those of messages: how slow the path is nobody knows yet.
    pub(super) const fn of(class: LaneClass) -> Self {
        let longest = if matches!(class, LaneClass::Bulk) { BULK_BATCH } else { BATCH };
        Self { longest, batch: BATCH }
    }

    /// How long the next batch is to be.
    pub(super) const fn batch(&self) -> usize {
        self.batch
    }

    /// `len` bytes were written in this time.
    pub(super) fn wrote(&mut self, len: usize, took: Duration) {
        self.batch = if took > MOMENT {
            let in_a_moment = len as u128 * MOMENT.as_micros() / took.as_micros().max(1);
            usize::try_from(in_a_moment).unwrap_or(self.longest).clamp(LEAST, self.longest)
        } else {
            (2 * self.batch).min(self.longest)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn batches_are_as_long_as_what_a_lane_takes_in_a_moment() {
        let mut pace = Pace::of(LaneClass::Message);
        pace.wrote(BATCH, 9 * MS);
        assert_eq!(pace.batch(), BATCH);
        pace.wrote(BATCH, 40 * MS);
        assert_eq!(pace.batch(), BATCH / 4);
        pace.wrote(BATCH / 4, 1000 * MS);
        assert_eq!(pace.batch(), LEAST);
        pace.wrote(LEAST, MS);
        assert_eq!(pace.batch(), 2 * LEAST);
        (0..10).for_each(|_| pace.wrote(LEAST, MS));
        assert_eq!(pace.batch(), BATCH);
    }

    #[test]
    fn l08_large_payloads_begin_with_short_batches_and_grow_where_the_path_takes_them() {
        let mut pace = Pace::of(LaneClass::Bulk);
        assert_eq!(pace.batch(), BATCH);
        (0..2).for_each(|_| pace.wrote(BATCH, MS));
        assert_eq!(pace.batch(), BULK_BATCH);
        pace.wrote(BULK_BATCH, 30_000 * MS);
        assert_eq!(pace.batch(), LEAST);
    }
}
