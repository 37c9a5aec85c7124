//! What any worker may take: actors made ready by threads that are no workers, the halves of full run
//! queues, and all actors that are not of normal priority.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_queue::SegQueue;

use crate::actor::{Priority, Ready};

/// The queues that all workers share. An actor that is ready is in one of them at most.
pub(super) struct Injector {
    high: SegQueue<Ready>,
    normal: SegQueue<Ready>,
    spilled: Spilled,
    low: SegQueue<Ready>,
    /// At least the number of actors in `high` and `low`: most often zero, which is seen at a glance.
    others: AtomicUsize,
}

/// Actors of normal priority that had no room, in batches of a run queue's size at most. A lock is good
/// enough for what happens once in a hundred pushes.
#[derive(Default)]
struct Spilled {
    batches: Mutex<VecDeque<Vec<Ready>>>,
    /// The length of `batches`, readable without the lock.
    count: AtomicUsize,
}

impl Injector {
    pub(super) fn new() -> Self {
        Self {
            high: SegQueue::new(),
            normal: SegQueue::new(),
            spilled: Spilled::default(),
            low: SegQueue::new(),
            others: AtomicUsize::new(0),
        }
    }

    /// Puts the actor behind those of its priority.
    pub(super) fn push(&self, ready: Ready) {
        let priority = ready.priority();
        if priority != Priority::Normal {
            self.others.fetch_add(1, Ordering::SeqCst);
        }
        self.queue(priority).push(ready);
    }

    /// Puts in what a run queue had no room for.
    pub(super) fn spill(&self, batch: Vec<Ready>) {
        self.spilled.change(|batches| batches.push_back(batch));
    }

    /// The actor of this priority that has waited longest, spilled ones apart.
    pub(super) fn pop(&self, priority: Priority) -> Option<Ready> {
        if !self.has(priority) {
            return None;
        }
        let ready = self.queue(priority).pop()?;
        if priority != Priority::Normal {
            self.others.fetch_sub(1, Ordering::SeqCst);
        }
        Some(ready)
    }

    /// Whether one of high or low priority may wait.
    #[inline]
    pub(super) fn has_others(&self) -> bool {
        self.others.load(Ordering::Relaxed) > 0
    }

    /// Whether one of this priority waits, spilled ones apart.
    pub(super) fn has(&self, priority: Priority) -> bool {
        !self.queue(priority).is_empty()
    }

    pub(super) fn has_spilled(&self) -> bool {
        !self.spilled.is_empty()
    }

    /// The batch spilled last, which is most likely in the cache.
    pub(super) fn pop_newest(&self) -> Option<Vec<Ready>> {
        if self.has_spilled() { self.spilled.change(VecDeque::pop_back) } else { None }
    }

    /// The batch that has waited longest.
    pub(super) fn pop_oldest(&self) -> Option<Vec<Ready>> {
        if self.has_spilled() { self.spilled.change(VecDeque::pop_front) } else { None }
    }

    /// How many of normal priority wait, spilled ones apart.
    pub(super) fn len(&self) -> usize {
        self.normal.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.normal.is_empty() && self.spilled.is_empty() && self.high.is_empty() && self.low.is_empty()
    }

    fn queue(&self, priority: Priority) -> &SegQueue<Ready> {
        match priority {
            Priority::High => &self.high,
            Priority::Normal => &self.normal,
            Priority::Low => &self.low,
        }
    }
}

impl Spilled {
    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn change<R>(&self, change: impl FnOnce(&mut VecDeque<Vec<Ready>>) -> R) -> R {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut batches);
        self.count.store(batches.len(), Ordering::Release);
        result
    }
}
