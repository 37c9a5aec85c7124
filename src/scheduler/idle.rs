//! Which workers sleep, and who is woken.
//!
//! The rule of Go and tokio: a push wakes a sleeper only if nobody is searching, because a searcher
//! will find it; a searcher that finds work and was the last wakes the next. A worker that goes to
//! sleep first says so, then looks once more: with the fences here and in `notify` either the pusher
//! sees the sleeper or the sleeper sees the push. Pushes are many and sleepers few, so the sleeper pays for
//! both fences where the system can do that.
//!
//! While some workers sleep and others do not, one sleeper is the watchman: it gets up every
//! [`PATROL`] and looks whether a busy worker is held up and keeps something from the others.

use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use crate::sync::{self, AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, Thread, fence, light_fence};

/// The time between two looks at the busy.
const PATROL: Duration = Duration::from_millis(5);

pub(super) struct Idle {
    sleepers: Mutex<Vec<usize>>,
    /// Length of `sleepers`, readable without the lock.
    asleep: AtomicUsize,
    searching: AtomicUsize,
    stopped: AtomicBool,
    /// Whether there is a watchman.
    watched: AtomicBool,
    workers: Vec<Bed>,
    /// Whether a sleeper's fence serves the pushers too; see [`sync::heavy_fence`].
    fences_for_all: AtomicBool,
}

#[derive(Default)]
struct Bed {
    thread: OnceLock<Thread>,
    /// Set by the one who took the worker off the list, cleared by the worker.
    woken: AtomicBool,
}

impl Idle {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            sleepers: Mutex::default(),
            asleep: AtomicUsize::new(0),
            searching: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            workers: (0..workers).map(|_| Bed::default()).collect(),
            fences_for_all: AtomicBool::new(sync::has_heavy_fence()),
        }
    }

    /// Called once by each worker, on its thread, before it first sleeps.
    pub(super) fn enter(&self, worker: usize) {
        let _ = self.workers[worker].thread.set(sync::current());
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(super) fn all_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst) == self.workers.len()
    }

    /// Wakes one sleeper, unless someone is searching already. Call after the push.
    #[inline]
    pub(super) fn notify(&self) {
        if self.fences_for_all.load(Ordering::Relaxed) {
            light_fence();
        } else {
            fence(Ordering::SeqCst);
        }
        if self.asleep.load(Ordering::Relaxed) == 0 || self.searching.load(Ordering::Relaxed) > 0 {
            return;
        }
        let Some(worker) = self.pop_sleeper() else { return };
        self.wake(worker);
    }

    /// Whether this worker may search now: at most half of them do at once.
    pub(super) fn start_searching(&self) -> bool {
        if self.searching.load(Ordering::Relaxed) * 2 >= self.workers.len() {
            return false;
        }
        self.searching.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// The searcher found work; the last one wakes the next sleeper.
    pub(super) fn found(&self) {
        if self.searching.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.notify();
        }
    }

    /// Sleeps until woken. `work_left` is asked once more after the worker has been listed as
    /// asleep; `patrol` from time to time, if this worker is the watchman, whether it has found
    /// something to do. Returns whether the worker wakes as a searcher.
    pub(super) fn sleep(
        &self,
        worker: usize,
        searching: bool,
        work_left: impl Fn() -> bool,
        patrol: impl FnMut() -> bool,
    ) -> bool {
        let woken = self.lie_down(worker, searching, work_left, patrol);
        self.appoint();
        woken
    }

    fn lie_down(
        &self,
        worker: usize,
        searching: bool,
        work_left: impl Fn() -> bool,
        mut patrol: impl FnMut() -> bool,
    ) -> bool {
        if searching {
            self.searching.fetch_sub(1, Ordering::SeqCst);
        }
        {
            let mut sleepers = self.lock();
            sleepers.push(worker);
            self.asleep.store(sleepers.len(), Ordering::SeqCst);
        }
        if (!self.fence() || work_left() || self.is_stopped()) && self.rise(worker) {
            return false;
        }
        let bed = &self.workers[worker];
        while !bed.woken.load(Ordering::Acquire) {
            if self.all_asleep() || self.watched.swap(true, Ordering::SeqCst) {
                sync::park();
                continue;
            }
            sync::park_timeout(PATROL);
            self.watched.store(false, Ordering::SeqCst);
            if patrol() && self.rise(worker) {
                return false;
            }
        }
        bed.woken.store(false, Ordering::Relaxed);
        true
    }

    /// The fence of one who goes to sleep. `false` if the system refused what it has promised (it was
    /// perhaps told to refuse it meanwhile): from now on pushers have fences of their own, but one that
    /// is pushing at this moment has none, so this is no time to sleep.
    fn fence(&self) -> bool {
        if !self.fences_for_all.load(Ordering::Relaxed) {
            fence(Ordering::SeqCst);
            return true;
        }
        let fenced = sync::heavy_fence();
        if !fenced {
            self.fences_for_all.store(false, Ordering::SeqCst);
        }
        fenced
    }

    /// Has a sleeper see whether it must be the watchman, now that one has got up.
    fn appoint(&self) {
        if self.watched.load(Ordering::SeqCst) {
            return;
        }
        let sleeper = self.lock().first().copied();
        if let Some(thread) = sleeper.and_then(|sleeper| self.workers[sleeper].thread.get()) {
            thread.unpark();
        }
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        while let Some(worker) = self.pop_sleeper() {
            self.wake(worker);
        }
    }

    /// Takes this worker off the list; `false` if someone has already chosen to wake it.
    fn rise(&self, worker: usize) -> bool {
        let mut sleepers = self.lock();
        let Some(place) = sleepers.iter().position(|listed| *listed == worker) else { return false };
        sleepers.swap_remove(place);
        self.asleep.store(sleepers.len(), Ordering::SeqCst);
        true
    }

    /// The sleeper chosen to wake; it is counted as a searcher from here on.
    fn pop_sleeper(&self) -> Option<usize> {
        let mut sleepers = self.lock();
        let worker = sleepers.pop()?;
        self.asleep.store(sleepers.len(), Ordering::SeqCst);
        self.searching.fetch_add(1, Ordering::SeqCst);
        Some(worker)
    }

    fn wake(&self, worker: usize) {
        let bed = &self.workers[worker];
        bed.woken.store(true, Ordering::Release);
        if let Some(thread) = bed.thread.get() {
            thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
