//! The thread that waits for the earliest deadline. It starts with the first timer, and sleeps
//! without a limit while there is none.

use std::sync::{Arc, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::Wheels;
use crate::sync::{AtomicU64, Condvar, Mutex, MutexGuard, Ordering};

/// The thread is about to look at all timers.
const AWAKE: u64 = 0;
/// The thread sleeps until it is called.
const CALLED: u64 = u64::MAX;

pub(super) struct Waiter {
    present: bool,
    /// When the thread will look by itself, in nanoseconds since the wheels were made.
    looks_at: AtomicU64,
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Default)]
struct State {
    running: bool,
    called: bool,
    stopped: bool,
}

impl Waiter {
    pub(super) fn new() -> Self {
        Self {
            present: true,
            looks_at: AtomicU64::new(CALLED),
            state: Mutex::new(State::default()),
            called: Condvar::new(),
        }
    }

    /// A waiter without a thread: somebody else fires what is due.
    pub(super) fn absent() -> Self {
        Self { present: false, looks_at: AtomicU64::new(AWAKE), ..Self::new() }
    }

    /// A waiter whose thread is the caller.
    #[cfg(all(test, myrmidon_loom))]
    pub(super) fn running() -> Self {
        Self { state: Mutex::new(State { running: true, ..State::default() }), ..Self::new() }
    }

    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    /// Whether the thread has to be [called](Self::call) for a deadline that was just added. Ask after
    /// the lock of its shard was held: a thread that has missed it there has published before when it
    /// will look next.
    #[inline]
    pub(super) fn misses(&self, at: u64) -> bool {
        at < self.looks_at.load(Ordering::Relaxed)
    }

    /// Has the thread look again; starts it if it is not there.
    #[cold]
    pub(super) fn call(&self, wheels: &Weak<Wheels>) {
        let mut state = self.lock();
        state.called = true;
        if !state.running && !state.stopped {
            state.running = wheels.upgrade().is_some_and(start);
        }
        self.called.notify_one();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.called.notify_one();
    }

    /// Waits for the next deadline, which `next` knows; `false` once stopped.
    pub(super) fn wait(&self, wheels: &Wheels) -> bool {
        // Before the look, so that whoever adds a deadline behind its back calls.
        self.looks_at.store(CALLED, Ordering::Relaxed);
        let next = wheels.next_due();
        self.looks_at.store(next.unwrap_or(CALLED), Ordering::Relaxed);
        let state = self.lock();
        let mut state = if state.called || state.stopped { state } else { self.sleep(state, wheels, next) };
        state.called = false;
        self.looks_at.store(AWAKE, Ordering::Relaxed);
        !state.stopped
    }

    /// Sleeps until called or until the time has come, perhaps less.
    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State>,
        wheels: &Wheels,
        until: Option<u64>,
    ) -> MutexGuard<'a, State> {
        let Some(until) = until else {
            return self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let left = Duration::from_nanos(until.saturating_sub(wheels.elapsed()));
        if left.is_zero() {
            return state;
        }
        self.called.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(wheels: Arc<Wheels>) -> bool {
    let run = move || {
        while wheels.waiter.wait(&wheels) {
            wheels.fire_due(wheels.elapsed());
        }
    };
    thread::Builder::new()
        .name("myrmidon-timer".to_owned())
        .spawn(run)
        .inspect_err(|error| tracing::error!(target: "myrmidon.timer", %error, "no timer thread; the next timer tries again"))
        .is_ok()
}
