//! What any worker may take: actors made ready by threads that are no workers, the halves of full run
//! queues, and all actors that are not of normal priority.

use crossbeam_queue::SegQueue;

use crate::actor::{Priority, Ready};

/// The queues that all workers share. An actor that is ready is in one of them at most.
pub(super) struct Injector {
    high: SegQueue<Ready>,
    normal: SegQueue<Ready>,
    /// Normal ones in batches, the size of a run queue at most.
    spilled: SegQueue<Vec<Ready>>,
    low: SegQueue<Ready>,
}

impl Injector {
    pub(super) fn new() -> Self {
        Self {
            high: SegQueue::new(),
            normal: SegQueue::new(),
            spilled: SegQueue::new(),
            low: SegQueue::new(),
        }
    }

    /// Puts the actor behind those of its priority.
    pub(super) fn push(&self, ready: Ready) {
        self.queue(ready.priority()).push(ready);
    }

    /// Puts in what a run queue had no room for.
    pub(super) fn spill(&self, batch: Vec<Ready>) {
        self.spilled.push(batch);
    }

    /// The actor of this priority that has waited longest, spilled ones apart.
    pub(super) fn pop(&self, priority: Priority) -> Option<Ready> {
        // Most often it is empty, and a look is cheaper than a pop in vain.
        if self.has(priority) { self.queue(priority).pop() } else { None }
    }

    /// Whether one of this priority waits, spilled ones apart.
    pub(super) fn has(&self, priority: Priority) -> bool {
        !self.queue(priority).is_empty()
    }

    /// The batch that has waited longest.
    pub(super) fn pop_spilled(&self) -> Option<Vec<Ready>> {
        if self.spilled.is_empty() { None } else { self.spilled.pop() }
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
