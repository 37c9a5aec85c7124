//! The loop of the sockets, lent to a lane whose driver has nothing to run.
//!
//! A message from another node would have to wake that driver, and the thread of the sockets would look on beside it. So
//! that thread lends it the loop: the driver goes through it until its lane has something to run, leaves it for that, and comes
//! back. Then a message changes no threads, as with the slices of [`inline`](super::inline).
//!
//! - **The sockets do not wait for a handler**, nor for the interpreter that a driver needs. Who has lent the loop looks now and
//!   then, and takes it back from a driver that was away at one look and still is a moment later.
//! - **Not for nothing.** It has the loop brought back if no message came for the lane between two looks, and begins with lanes that
//!   messages come for again and again.
//! - **Runs that are not short** end the loan, and none begins for twenty times as long.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::lane::Lane;
use super::occasions::Occasions;
use crate::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

/// Between two looks of who has lent the loop.
const LOOK: Duration = Duration::from_millis(5);
/// A driver that was away at one look, and still is after this, is late.
const LATE: Duration = Duration::from_millis(1);
/// After a run of a lane that took longer the thread of the sockets might as well have stayed at them.
const SHORT: Duration = Duration::from_micros(100);

/// The loop of the sockets.
pub(crate) trait Drive: Send + Sync {
    /// Goes through it on this thread until `until` is ready; `false` if there is no loop any more.
    fn drive(&self, until: Pin<&mut dyn Future<Output = ()>>) -> bool;
}

/// Who has the loop of the sockets.
pub(super) struct Loan {
    sockets: OnceLock<Box<dyn Drive>>,
    occasions: Occasions,
    terms: Mutex<Terms>,
    /// The loop is back.
    back: Condvar,
    /// Whether a lane has it: most have not, and look here only. Written under the lock.
    lent: AtomicBool,
    /// Whether a message has come for that lane since the last look.
    used: AtomicBool,
}

#[derive(Default)]
struct Terms {
    /// Who has the loop.
    lane: Option<Arc<Lane>>,
    /// Since when its driver is away from it.
    away: Option<Instant>,
    /// How often that has come.
    turns: u64,
    recalled: bool,
    closed: bool,
}

thread_local! {
    /// For which loan and which lane this thread drives the loop.
    static DRIVES: Cell<(*const Loan, *const Lane)> = const { Cell::new((std::ptr::null(), std::ptr::null())) };
}

impl Loan {
    pub(super) fn new() -> Self {
        Self {
            sockets: OnceLock::new(),
            occasions: Occasions::new(),
            terms: Mutex::default(),
            back: Condvar::new(),
            lent: AtomicBool::new(false),
            used: AtomicBool::new(false),
        }
    }

    /// Says which loop it is. Without one there are no loans.
    pub(super) fn connect(&self, sockets: Box<dyn Drive>) {
        let _ = self.sockets.set(sockets);
    }

    /// Lends the loop to this lane, which is about to be given something to run by the thread that drives; whether it was.
    /// That thread is to leave the loop then, and to wait for it.
    pub(super) fn offer(&self, lane: &Arc<Lane>) -> bool {
        if !self.occasions.may_take() || self.sockets.get().is_none() || !lane.may_attend() {
            return false;
        }
        let mut terms = self.terms();
        if terms.lane.is_some() || terms.closed {
            return false;
        }
        *terms = Terms { lane: Some(lane.clone()), away: Some(Instant::now()), ..Terms::default() };
        self.used.store(true, Ordering::Relaxed);
        self.lent.store(true, Ordering::Release);
        true
    }

    /// A message comes for `lane`: whether by a driver that has borrowed the loop, and does so on this thread.
    pub(super) fn is_used_here(&self, lane: &Lane) -> bool {
        let (loan, of) = DRIVES.get();
        let here = std::ptr::eq(loan, self);
        if here && std::ptr::eq(of, lane) {
            self.used.store(true, Ordering::Relaxed);
        }
        here
    }

    pub(super) fn is_lent(&self) -> bool {
        self.lent.load(Ordering::Acquire)
    }

    /// Waits until the loop is back, which it is at once if it was not lent, or takes it back.
    pub(super) fn wait_back(&self) {
        let mut terms = self.terms();
        let (mut seen, mut pause) = ((terms.turns, true), LOOK);
        while terms.lane.is_some() {
            let waited = self.back.wait_timeout(terms, pause).unwrap_or_else(PoisonError::into_inner);
            terms = waited.0;
            let Some(lane) = terms.lane.clone().filter(|_| waited.1.timed_out()) else { continue };
            let now = (terms.turns, terms.away.is_some());
            pause = LOOK;
            match terms.away.map(|since| since.elapsed()) {
                Some(away) if now == seen && away >= LATE => {
                    self.occasions.took(away);
                    self.end(&mut terms);
                }
                Some(_) => pause = LATE,
                None if !self.used.swap(false, Ordering::Relaxed) => {
                    terms.recalled = true;
                    lane.wake();
                }
                None => {}
            }
            seen = now;
        }
    }

    /// Drives the loop until `until` is ready, on the thread that drives this lane; `false` if it has not borrowed the loop.
    pub(super) fn attend(&self, lane: &Lane, until: Pin<&mut dyn Future<Output = ()>>) -> bool {
        let Some(sockets) = self.sockets.get().filter(|_| self.come(lane)) else { return false };
        DRIVES.set((self, lane));
        let driven = sockets.drive(until);
        DRIVES.set((std::ptr::null(), std::ptr::null()));
        let mut terms = self.terms();
        if terms.is_of(lane) {
            if terms.recalled || terms.closed || !driven {
                self.end(&mut terms);
            } else {
                terms.away = Some(Instant::now());
            }
        }
        driven
    }

    /// The driver of the lane will be away from the loop for long.
    pub(super) fn give_back(&self, lane: &Lane) {
        let mut terms = self.terms();
        if terms.is_of(lane) {
            self.end(&mut terms);
        }
    }

    /// There are no loans any more.
    pub(super) fn close(&self) {
        self.occasions.end();
        let mut terms = self.terms();
        terms.closed = true;
        let lane = terms.lane.clone();
        drop(terms);
        lane.into_iter().for_each(|lane| lane.wake());
    }

    /// The driver of the lane has nothing to run; whether it may drive.
    fn come(&self, lane: &Lane) -> bool {
        let mut terms = self.terms();
        if !terms.is_of(lane) {
            return false;
        }
        // Another thread drives for this lane: it alone is woken.
        let Some(away) = terms.away.take().map(|since| since.elapsed()) else { return false };
        // The first run began with a wake, which takes its time.
        if terms.turns > 0 && away > SHORT {
            self.occasions.took(away);
            terms.recalled = true;
        }
        if terms.recalled || terms.closed {
            self.end(&mut terms);
            return false;
        }
        terms.turns += 1;
        true
    }

    fn end(&self, terms: &mut Terms) {
        terms.lane = None;
        self.lent.store(false, Ordering::Release);
        self.back.notify_all();
    }

    fn terms(&self) -> MutexGuard<'_, Terms> {
        self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terms {
    fn is_of(&self, lane: &Lane) -> bool {
        self.lane.as_deref().is_some_and(|of| std::ptr::eq(of, lane))
    }
}
