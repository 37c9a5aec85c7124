//! Which workers sleep, and who is woken.
//!
//! The rule of Go and tokio: a push wakes a sleeper only if nobody is searching, because a searcher
//! will find it; a searcher that finds work and was the last wakes the next if more is left. A worker that goes to
//! sleep first says so, then looks once more: with the fences here and in `notify` either the pusher
//! sees the sleeper or the sleeper sees the push. Pushes are many and sleepers few, so the sleeper pays for
//! both fences where the system can do that.

use std::sync::{OnceLock, PoisonError};

use crate::sync::{self, AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, Thread, fence, light_fence};

pub(super) struct Idle {
    sleepers: Mutex<Vec<usize>>,
    /// Length of `sleepers`, readable without the lock.
    asleep: AtomicUsize,
    searching: AtomicUsize,
    stopped: AtomicBool,
    /// Workers in service, asleep or not: spares on the bench do not count.
    serving: AtomicUsize,
    /// How many are in service as a rule.
    usual: usize,
    beds: Vec<Bed>,
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
    /// For so many workers, and so many spares that may be called.
    pub(super) fn new(workers: usize, spares: usize) -> Self {
        Self {
            sleepers: Mutex::default(),
            asleep: AtomicUsize::new(0),
            searching: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            serving: AtomicUsize::new(workers),
            usual: workers,
            beds: (0..workers + spares).map(|_| Bed::default()).collect(),
            fences_for_all: AtomicBool::new(sync::has_heavy_fence()),
        }
    }

    /// Called once by each worker, on its thread, before it first sleeps.
    pub(super) fn enter(&self, worker: usize) {
        let _ = self.beds[worker].thread.set(sync::current());
        // Who stops the scheduler from here on sees the thread, or the thread sees the stop.
        fence(Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    pub(super) fn all_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst) == self.serving.load(Ordering::SeqCst)
    }

    pub(super) fn some_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) > 0
    }

    /// A spare begins to serve.
    pub(super) fn count_in(&self) {
        self.serving.fetch_add(1, Ordering::SeqCst);
    }

    /// A spare has left.
    pub(super) fn count_out(&self) {
        self.serving.fetch_sub(1, Ordering::SeqCst);
    }

    /// Wakes one sleeper, unless someone is searching already. Call after the push.
    #[inline]
    pub(super) fn notify(&self) {
        if self.fences_for_all.load(Ordering::Relaxed) {
            light_fence();
        } else {
            fence(Ordering::SeqCst);
        }
        if self.asleep.load(Ordering::Relaxed) == 0 || self.is_searched() {
            return;
        }
        let Some(worker) = self.pop_sleeper() else { return };
        self.wake(worker);
    }

    /// Whether this worker may search now: at most half of them do at once.
    pub(super) fn start_searching(&self) -> bool {
        if self.searching.load(Ordering::Relaxed) * 2 >= self.usual {
            return false;
        }
        self.searching.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// The searcher found work, or leaves. The last one wakes the next sleeper if there is `more`: what was
    /// pushed while it searched woke nobody. With this fence and the one in `is_searched`, either the
    /// pusher sees that nobody searches any more, or `more` sees the push.
    pub(super) fn found(&self, more: impl FnOnce() -> bool) {
        if self.searching.fetch_sub(1, Ordering::SeqCst) == 1 {
            fence(Ordering::SeqCst);
            if more() {
                self.notify();
            }
        }
    }

    /// Sleeps until woken. `stay_up` is asked once more after the worker has been listed as asleep.
    /// Returns whether the worker wakes as a searcher.
    pub(super) fn sleep(&self, worker: usize, searching: bool, stay_up: impl Fn() -> bool) -> bool {
        if searching {
            self.searching.fetch_sub(1, Ordering::SeqCst);
        }
        {
            let mut sleepers = self.lock();
            sleepers.push(worker);
            self.asleep.store(sleepers.len(), Ordering::SeqCst);
        }
        if (!self.fence() || stay_up() || self.is_stopped()) && self.rise(worker) {
            return false;
        }
        let bed = &self.beds[worker];
        while !bed.woken.load(Ordering::Acquire) {
            sync::park();
        }
        bed.woken.store(false, Ordering::Relaxed);
        true
    }

    /// Wakes this worker, if it sleeps, as a searcher.
    pub(super) fn rouse(&self, worker: usize) {
        if self.rise(worker) {
            self.searching.fetch_add(1, Ordering::SeqCst);
            self.wake(worker);
        }
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

    /// Ends a `park` of this worker elsewhere than in [`sleep`](Self::sleep).
    pub(super) fn unpark(&self, worker: usize) {
        if let Some(thread) = self.beds[worker].thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while let Some(worker) = self.pop_sleeper() {
            self.wake(worker);
        }
        (0..self.beds.len()).for_each(|worker| self.unpark(worker));
    }

    /// Whether someone searches who will find what was pushed before this call.
    fn is_searched(&self) -> bool {
        self.searching.load(Ordering::Relaxed) > 0 && {
            fence(Ordering::SeqCst);
            self.searching.load(Ordering::Relaxed) > 0
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
        self.beds[worker].woken.store(true, Ordering::Release);
        self.unpark(worker);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<usize>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
