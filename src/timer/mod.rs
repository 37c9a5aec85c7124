//! Timers: messages sent later, once or again and again.
//!
//! `queue` decides, given the time; this file owns the thread that waits. The thread starts with the
//! first timer.

mod queue;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::actor::System;
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::pid::Pid;
pub use queue::TimerId;
use queue::{Due, Queue, Shot};

/// Where the clock cannot count as far as a delay asks: thirty years.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The timers of one runtime. A timer whose actor has ended is dropped when it is due.
pub struct Timers {
    shared: Arc<Shared>,
}

struct Shared {
    system: Weak<System>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: Queue,
    running: bool,
    stopped: bool,
}

impl Timers {
    pub(crate) fn new(system: &Arc<System>) -> Self {
        let shared =
            Shared { system: Arc::downgrade(system), state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Sends `message` to `pid` after `delay`. The message takes its place in the mailbox like any
    /// other (S41).
    pub fn send_after(&self, delay: Duration, pid: Pid, message: impl Into<Payload>) -> TimerId {
        self.add(delay, pid, Shot::Once(message.into()))
    }

    /// Sends `message` to `pid` every `period`, the first time after one period, until cancelled or
    /// the actor ends. Periods that were missed are skipped, not made up. A period of zero counts as
    /// one millisecond.
    pub fn send_interval(&self, period: Duration, pid: Pid, message: impl Into<Bytes>) -> TimerId {
        let period = period.max(Duration::from_millis(1));
        self.add(period, pid, Shot::Every(period, message.into()))
    }

    /// Takes a timer back; `false` if it had gone off for the last time or was cancelled before.
    pub fn cancel(&self, timer: TimerId) -> bool {
        // The message is dropped here, after the lock: its drop may use the timers.
        let cancelled = self.shared.lock().queue.cancel(timer);
        cancelled.is_some()
    }

    /// Timers that wait.
    pub fn len(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// Whether no timer waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn stop(&self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
    }

    fn add(&self, delay: Duration, pid: Pid, shot: Shot) -> TimerId {
        let mut state = self.shared.lock();
        let first = state.queue.next_due();
        let now = Instant::now();
        let at = now.checked_add(delay).unwrap_or(now + NEVER);
        let timer = state.queue.add(at, pid, shot);
        if !state.running && !state.stopped {
            state.running = self.start();
        }
        if first.is_none_or(|first| at < first) {
            self.shared.changed.notify_all();
        }
        timer
    }

    fn start(&self) -> bool {
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name("myrmidon-timer".to_owned()).spawn(move || shared.run());
        thread
            .inspect_err(|error| tracing::error!(target: "myrmidon.timer", %error, "no timer thread; the next timer tries again"))
            .is_ok()
    }
}

impl Drop for Timers {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.stopped {
            let now = Instant::now();
            let due = state.queue.pop_due(now);
            if let Some(due) = due {
                drop(state);
                let alive = self.fire(&due);
                state = self.lock();
                state.queue.rearm(due, now, alive);
                continue;
            }
            state = match state.queue.next_due() {
                Some(at) => {
                    let wait = at.saturating_duration_since(Instant::now());
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Sends a due message; whether the actor lives.
    fn fire(&self, due: &Due) -> bool {
        let Some(system) = self.system.upgrade() else { return false };
        let Some(message) = due.take_message() else { return false };
        let Err(unsent) = system.send(due.pid(), message) else { return true };
        // A full mailbox loses this message, and no later one of an interval.
        let alive = matches!(unsent, SendError::Full { .. });
        system.letters().add_unsent(unsent);
        alive
    }
}
