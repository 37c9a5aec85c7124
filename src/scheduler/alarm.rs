//! What wakes the watchdog when somebody begins to work.

use std::sync::OnceLock;
use std::time::Duration;

use crate::sync::{self, AtomicBool, AtomicU32, Ordering, Thread, fence};

/// What [`Alarm::rest`] has: nobody need wake the watchdog, it looks by itself.
const AWAKE: u32 = 0;
/// Workers and the thread of the sockets wake it.
const DOZES: u32 = 1;
/// Lanes do as well.
const SLEEPS: u32 = 2;

/// Rung by those who begin to work. It costs them a system call only where the watchdog rests.
#[derive(Default)]
pub(super) struct Alarm {
    thread: OnceLock<Thread>,
    /// How the watchdog rests, or is about to.
    rest: AtomicU32,
    stopped: AtomicBool,
}

impl Alarm {
    /// A worker works, or the thread of the sockets. Call after that can be seen.
    pub(super) fn ring(&self) {
        self.ring_from(DOZES);
    }

    /// The same for a lane, which one that dozes need not hear of.
    pub(super) fn ring_for_lane(&self) {
        self.ring_from(SLEEPS);
    }

    fn ring_from(&self, lightest: u32) {
        fence(Ordering::SeqCst);
        if self.rest.load(Ordering::Relaxed) >= lightest && self.rest.swap(AWAKE, Ordering::AcqRel) != AWAKE {
            self.unpark();
        }
    }

    /// Has the watchdog look now, if it does not sleep.
    pub(super) fn hurry(&self) {
        self.unpark();
    }

    /// Ends the watchdog.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Against the one in `enter`.
        fence(Ordering::SeqCst);
        self.unpark();
    }

    /// To be called once, on the watchdog's thread.
    pub(super) fn enter(&self) {
        let _ = self.thread.set(sync::current());
        fence(Ordering::SeqCst);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Sleeps as long as nobody works: with the fences here and in `ring`, either the one who begins sees
    /// how the watchdog rests, or `quiet` sees him.
    pub(super) fn sleep(&self, quiet: impl Fn() -> bool) {
        self.begin(SLEEPS);
        while self.rest.load(Ordering::Acquire) != AWAKE && quiet() && !self.is_stopped() {
            sync::park();
        }
        self.rest.store(AWAKE, Ordering::Relaxed);
    }

    /// Sleeps until a worker or the thread of the sockets works, in the same way, and for `limit` at most. Whether
    /// one of them does.
    pub(super) fn doze(&self, limit: Duration, quiet: impl Fn() -> bool) -> bool {
        self.begin(DOZES);
        if quiet() && !self.is_stopped() {
            sync::park_timeout(limit);
        }
        self.rest.swap(AWAKE, Ordering::Acquire) == AWAKE || !quiet()
    }

    fn begin(&self, rest: u32) {
        self.rest.store(rest, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    fn unpark(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
