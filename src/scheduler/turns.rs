//! The ready actors of a lane, by priority.

use crate::actor::{Priority, Ready};
use crate::sync::{AtomicUsize, Ordering, SegQueue};

/// Of so many turns one goes to normal and one to low priority, where such actors wait.
const ROUND: usize = 8;

/// Who is ready, in the order in which the turns come: first come, first served among equals.
pub(super) struct Turns {
    high: SegQueue<Ready>,
    normal: SegQueue<Ready>,
    low: SegQueue<Ready>,
    /// How many wait that are not of normal priority: where there are none, that is all that is looked at.
    /// Counted before they are put in, so none is overlooked for good.
    apart: AtomicUsize,
    turn: AtomicUsize,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            high: SegQueue::new(),
            normal: SegQueue::new(),
            low: SegQueue::new(),
            apart: AtomicUsize::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    pub(super) fn push(&self, ready: Ready) {
        match ready.priority() {
            Priority::Normal => self.normal.push(ready),
            Priority::High => self.push_apart(&self.high, ready),
            Priority::Low => self.push_apart(&self.low, ready),
        }
    }

    pub(super) fn pop(&self) -> Option<Ready> {
        if self.apart.load(Ordering::Acquire) == 0 {
            return self.normal.pop();
        }
        let order = match self.turn.fetch_add(1, Ordering::Relaxed) % ROUND {
            0 => [&self.low, &self.high, &self.normal],
            1 => [&self.normal, &self.high, &self.low],
            _ => [&self.high, &self.normal, &self.low],
        };
        let (queue, ready) = order.into_iter().find_map(|queue| Some((queue, queue.pop()?)))?;
        if !std::ptr::eq(queue, &self.normal) {
            self.apart.fetch_sub(1, Ordering::Release);
        }
        Some(ready)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.normal.is_empty() && self.high.is_empty() && self.low.is_empty()
    }

    fn push_apart(&self, queue: &SegQueue<Ready>, ready: Ready) {
        self.apart.fetch_add(1, Ordering::Release);
        queue.push(ready);
    }
}
