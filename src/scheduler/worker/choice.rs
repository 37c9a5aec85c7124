//! What a worker runs next.

use std::time::{Duration, Instant};

use super::super::run_queue::PLACES;
use super::{Found, Worker};
use crate::actor::{Priority, Ready};

/// After so many turns of normal priority a worker looks at the injector though its own queue is not
/// empty. A prime, so that it does not fall into step with patterns of the load.
const INJECTOR_EVERY: u32 = 61;
/// After so many, and so long, it exchanges its queue for the batch that was
/// spilled first. All that was in the queue has had a turn by then. Not at once, since what was spilled
/// last is in the cache and leads to fewer living actors where actors start others.
const ROTATE_EVERY: u32 = PLACES as u32;
const ROTATE_AFTER: Duration = Duration::from_micros(500);
/// Of so many passes of a worker one begins with low priority, and one with normal priority.
const ROUND: u32 = 8;
/// How often in a row an actor may come from the LIFO slot before the queue gets its turn.
const LIFO_RUNS: u32 = 3;

/// A worker fetches actors from the injector until so many are in its queue, far from full.
const FETCHED: usize = 64;

/// For how long a worker searches before it sleeps.
const SEARCH: Duration = Duration::from_micros(10);
/// A core that comes back later than this after a yield was needed by another thread.
const YIELD: Duration = Duration::from_micros(1);

impl Worker<'_> {
    /// The next actor of this worker's own sources, or from outside.
    ///
    /// All on this way returns one pointer: what is larger goes through memory and waits for it.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Ready> {
        let urgent = if self.scheduler.injector.has_others() { self.next_urgent() } else { None };
        urgent.or_else(|| self.next_normal()).or_else(|| self.next_other())
    }

    /// What comes before actors of normal priority this time.
    #[inline(never)]
    fn next_urgent(&mut self) -> Option<Ready> {
        self.passes = self.passes.wrapping_add(1);
        match self.passes % ROUND {
            0 => self.take(Priority::Low).or_else(|| self.take(Priority::High)),
            1 => None,
            _ => self.take(Priority::High),
        }
    }

    #[inline]
    fn next_normal(&mut self) -> Option<Ready> {
        self.normal_passes = self.normal_passes.wrapping_add(1);
        if self.normal_passes.is_multiple_of(ROTATE_EVERY) {
            self.rotate();
        }
        if self.normal_passes.is_multiple_of(INJECTOR_EVERY)
            && let Some(ready) = self.take_from_outside()
        {
            return Some(ready);
        }
        if self.lifo_runs < LIFO_RUNS
            && let Some(ready) = self.local.take_lifo()
        {
            self.lifo_runs += 1;
            return Some(ready);
        }
        self.lifo_runs = 0;
        self.local.seat.queue.pop().or_else(|| self.local.take_lifo())
    }

    /// What is not in this worker's own queue.
    #[inline(never)]
    fn next_other(&self) -> Option<Ready> {
        self.take_from_outside().or_else(|| self.take(Priority::High)).or_else(|| self.take_low())
    }

    /// Takes an actor of high or low priority.
    #[inline]
    fn take(&self, priority: Priority) -> Option<Ready> {
        // Most often there is none, and a look is cheaper than a pop in vain.
        if self.scheduler.injector.has(priority) { self.pop(priority) } else { None }
    }

    #[inline(never)]
    fn pop(&self, priority: Priority) -> Option<Ready> {
        let ready = self.scheduler.injector.pop(priority);
        if !self.scheduler.injector.is_empty() {
            self.scheduler.idle.notify();
        }
        ready
    }

    /// Takes an actor of low priority, unless another worker has one of normal priority to give.
    fn take_low(&self) -> Option<Ready> {
        if !self.scheduler.injector.has(Priority::Low) {
            return None;
        }
        self.steal().or_else(|| self.take(Priority::Low))
    }

    /// Runs jobs, and takes an actor of normal priority from the injector.
    #[inline(never)]
    fn take_from_outside(&self) -> Option<Ready> {
        self.run_jobs();
        let first = self.fetch().or_else(|| self.fetch_spilled())?;
        if !self.scheduler.injector.is_empty() || !self.local.seat.queue.is_empty() {
            self.scheduler.idle.notify();
        }
        Some(first)
    }

    /// Takes a fair share at once, so that the injector is not fetched from one by one.
    fn fetch(&self) -> Option<Ready> {
        let injector = &self.scheduler.injector;
        let first = injector.pop(Priority::Normal)?;
        let share = injector.len() / self.scheduler.workers;
        for _ in 0..share.min(FETCHED.saturating_sub(self.local.seat.queue.len())) {
            let Some(ready) = injector.pop(Priority::Normal) else { break };
            self.local.push(self.scheduler, ready);
        }
        Some(first)
    }

    /// Takes a batch that another queue, or this one, had no room for.
    fn fetch_spilled(&self) -> Option<Ready> {
        if !self.local.seat.queue.is_empty() {
            // There may be no room; these have their turns by rotation.
            return None;
        }
        let mut batch = self.scheduler.injector.pop_newest()?.into_iter();
        let first = batch.next();
        batch.for_each(|ready| self.local.push(self.scheduler, ready));
        first
    }

    /// Lets the batch that has waited longest have its turns, if there is one and it is time.
    fn rotate(&mut self) {
        let injector = &self.scheduler.injector;
        if !injector.has_spilled() || self.rotated.elapsed() < ROTATE_AFTER {
            return;
        }
        self.rotated = Instant::now();
        let Some(batch) = injector.pop_oldest() else { return };
        if let Some(own) = self.local.seat.queue.pop_batch(PLACES) {
            injector.spill(own);
        }
        batch.into_iter().for_each(|ready| self.local.push(self.scheduler, ready));
    }

    /// Work from anywhere, which may also turn up a moment later: waking this thread would then cost its
    /// waker more than these few microseconds cost. But not where another thread needs this core: it may
    /// be the thread of the sockets, here or in the process that is to answer what was sent just now.
    pub(super) fn search(&self) -> Option<Found> {
        let mut now = Instant::now();
        let mut until = now + SEARCH;
        loop {
            if self.scheduler.has_jobs() {
                return Some(Found::Jobs);
            }
            // No jobs here: who searches keeps others from being woken, and a job may take long.
            let normal = || self.steal().or_else(|| self.fetch()).or_else(|| self.fetch_spilled());
            let found = self.take(Priority::High).or_else(normal).or_else(|| self.take(Priority::Low));
            if let Some(ready) = found {
                return Some(Found::Actor(ready));
            }
            if self.scheduler.is_alone || now >= until {
                return None;
            }
            std::thread::yield_now();
            let back = Instant::now();
            if back.duration_since(now) > YIELD {
                until = now;
            }
            now = back;
        }
    }

    /// Takes half of another worker's queue.
    fn steal(&self) -> Option<Ready> {
        let stealers = self.scheduler.stealers();
        let others = (1..stealers.len()).map(|step| &stealers[(self.index + step) % stealers.len()]);
        others.into_iter().find_map(|other| other.steal_half(&self.local.seat.queue))
    }
}
