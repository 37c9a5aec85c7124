//! The pace of a lane: how much it is given at a time, and when it lets others go first.
//!
//! What is in a batch is in front of everything that comes later. So a batch is no longer than what its lane takes in a
//! moment, and on a slow path it is the queues, where receivers take turns, in which messages wait.

use std::time::{Duration, Instant};

use crate::node::shared::now;
use crate::transport::LaneClass;

/// A batch of a lane that takes everything at once.
pub(super) const BATCH: usize = 64 << 10;
/// The same of large payloads, which hold up no receiver: each write and each CHUNK costs both sides something.
pub(super) const BULK_BATCH: usize = 256 << 10;
/// The shortest.
const LEAST: usize = 4 << 10;
/// A batch should be written in this time.
const MOMENT: Duration = Duration::from_millis(10);

/// A lane that moves so many bytes without a pause lets the others go first: a ping must not wait for
/// what one task may do at a stretch.
const STRETCH: usize = 256 << 10;
/// A lane that has written less than this lets so much time pass before it writes again: a write costs as
/// much as a hundred small messages, and who sends them without a pause would get one for a few.
const LITTLE: usize = 16 << 10;
const GATHER: Duration = Duration::from_micros(20);
/// Looks at the clock meanwhile, which tests may stop.
const LOOKS: usize = 40;

/// The pace of the writer of one lane.
pub(super) struct Pace {
    class: LaneClass,
    longest: usize,
    batch: usize,
    stretch: Stretch,
    /// When little was written, if that was the last that was, and what had been heard before.
    little: Option<(Instant, u64)>,
}

impl Pace {
    /// Batches of a lane of this class. The first is no longer than those of messages: how slow the path is nobody knows yet.
    pub(super) const fn of(class: LaneClass) -> Self {
        let longest = if matches!(class, LaneClass::Bulk) { BULK_BATCH } else { BATCH };
        Self { class, longest, batch: BATCH, stretch: Stretch(0), little: None }
    }

    /// How long the next batch is to be.
    pub(super) const fn batch(&self) -> usize {
        self.batch
    }

    /// Lets others go first where it is their turn. Where `more` waits to be written after a little was, it also lets
    /// more come together, unless something was `heard` from the other side since then: more may only come for what goes now.
    pub(super) async fn pause(&mut self, more: bool, heard: impl Fn() -> u64) {
        self.stretch.pause().await;
        if more && let Some((since, before)) = self.little.take() {
            gather(since, || heard() != before).await;
        }
    }

    /// `len` bytes were written between these times, and `heard` is what had been heard before. `is_behind` says whether somebody
    /// waits on control, where everything is short.
    pub(super) fn wrote(
        &mut self,
        len: usize,
        (begun, done): (Instant, Instant),
        heard: u64,
        is_behind: bool,
    ) {
        self.fit(len, done - begun);
        self.stretch.moved(len);
        if self.class != LaneClass::Control {
            self.little = (len < LITTLE).then_some((done, heard));
            if is_behind {
                self.stretch = Stretch(STRETCH);
            }
        }
    }

    fn fit(&mut self, len: usize, took: Duration) {
        self.batch = if took > MOMENT {
            let in_a_moment = len as u128 * MOMENT.as_micros() / took.as_micros().max(1);
            usize::try_from(in_a_moment).unwrap_or(self.longest).clamp(LEAST, self.longest)
        } else {
            (2 * self.batch).min(self.longest)
        };
    }
}

/// Lets more come together after a little was written, until that is `answered`.
async fn gather(since: Instant, answered: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if answered() || now() >= since + GATHER {
            return;
        }
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

/// How much a lane has moved since it last let others go first: other tasks, and the threads that wait for
/// this core, such as the worker that is to answer a ping. The system itself would let them wait for the
/// rest of this thread's turn, which is milliseconds.
#[derive(Default)]
pub(super) struct Stretch(usize);

impl Stretch {
    pub(super) const fn moved(&mut self, len: usize) {
        self.0 += len;
    }

    pub(super) async fn pause(&mut self) {
        if self.0 >= STRETCH {
            self.0 = 0;
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn batches_are_as_long_as_what_a_lane_takes_in_a_moment() {
        let mut pace = Pace::of(LaneClass::Message);
        pace.fit(BATCH, 9 * MS);
        assert_eq!(pace.batch(), BATCH);
        pace.fit(BATCH, 40 * MS);
        assert_eq!(pace.batch(), BATCH / 4);
        pace.fit(BATCH / 4, 1000 * MS);
        assert_eq!(pace.batch(), LEAST);
        pace.fit(LEAST, MS);
        assert_eq!(pace.batch(), 2 * LEAST);
        (0..10).for_each(|_| pace.fit(LEAST, MS));
        assert_eq!(pace.batch(), BATCH);
    }

    #[test]
    fn l08_large_payloads_begin_with_short_batches_and_grow_where_the_path_takes_them() {
        let mut pace = Pace::of(LaneClass::Bulk);
        assert_eq!(pace.batch(), BATCH);
        (0..2).for_each(|_| pace.fit(BATCH, MS));
        assert_eq!(pace.batch(), BULK_BATCH);
        pace.fit(BULK_BATCH, 30_000 * MS);
        assert_eq!(pace.batch(), LEAST);
    }
}
