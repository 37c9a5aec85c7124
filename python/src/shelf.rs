//! The shelf of an actor whose code runs somewhere else than in its turns: in a task of an event loop, or
//! on a thread of its own.
//!
//! The turns of the actor, on the workers, put its messages on the shelf, up to a bound, and its code takes
//! them from there when it comes for them. What is on the shelf counts as given to the code: a stop or a
//! hot swap waits until it is handled (D5), a kill does not.

mod item;
mod matcher;
mod reading;
mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;

use myrmidon::Pid;
use pyo3::prelude::*;

pub(crate) use item::Item;
pub(crate) use matcher::Matcher;
pub(crate) use state::Allowance;

use crate::loop_bell::Bell;
use state::{DEPTH, State};

/// What an actor and its code share.
pub(crate) struct Shelf {
    pid: OnceLock<Pid>,
    state: Mutex<State>,
    arrived: Condvar,
}

/// A message with the number of its way back, if it has one.
pub(crate) type Taken = (Py<PyAny>, Option<u64>);

/// What the code finds.
pub(crate) enum Found {
    Item(Taken),
    Nothing,
    /// There is nothing, and there will be no more.
    Over,
}

/// The actor's side.
impl Shelf {
    pub(crate) fn new(allowance: Allowance) -> Arc<Self> {
        let state = State { allowance, ..State::default() };
        Arc::new(Self { pid: OnceLock::new(), state: Mutex::new(state), arrived: Condvar::new() })
    }

    /// Says whose it is.
    pub(crate) fn belong(&self, pid: Pid) {
        self.pid.get_or_init(|| pid);
    }

    /// Says that its handler handles so many at a time, as the code before did.
    pub(crate) fn allow(&self, most: usize) {
        if let Allowance::Free(free) = &mut self.state().allowance {
            *free = most;
        }
    }

    /// Whose it is.
    pub(crate) fn pid(&self) -> Option<Pid> {
        self.pid.get().copied()
    }

    /// Puts a message there; whether there is room for another. If not, `actor` is woken when there is.
    pub(crate) fn put(&self, item: Item, actor: impl FnOnce() -> Waker) -> bool {
        let mut state = self.state();
        // If a stop or a swap was due, it did not come to be.
        state.closing = false;
        state.hungry = false;
        state.ready.push_back(item);
        let called = state.call();
        let room = match state.allowance {
            // More is asked for when half of it is gone.
            Allowance::Ahead => state.ready.len() < DEPTH,
            Allowance::Free(_) | Allowance::Wanted => state.has_room(),
        };
        if !room {
            state.actor = Some(actor());
        }
        self.rouse(state);
        if let Some(called) = called {
            called.tell();
        }
        room
    }

    /// Whether the actor may go on; if not, `actor` is woken when it may.
    pub(crate) fn has_room(&self, actor: impl FnOnce() -> Waker) -> bool {
        let mut state = self.state();
        let room = state.has_room();
        if !room {
            state.actor = Some(actor());
        }
        room
    }

    /// Has the code come to an end; whether it has. If not, `actor` is woken when it has.
    pub(crate) fn close(&self, actor: impl FnOnce() -> Waker) -> bool {
        let mut state = self.state();
        state.closing = true;
        let quiet = state.is_quiet();
        if !quiet {
            state.actor = Some(actor());
        }
        let called = state.call_all();
        self.rouse(state);
        called.tell();
        quiet
    }

    /// A place for one more task that serves the handler, if there is something to do and the others, of
    /// `most`, are busy.
    pub(crate) fn hire(&self, most: usize) -> bool {
        self.state().hire(most)
    }

    /// Messages that lie here, and those that a handler is in the middle of.
    pub(crate) fn unhandled(&self) -> usize {
        let state = self.state();
        // A function is in the middle of something as long as it runs, and has no servers.
        if state.ended { 0 } else { state.ready.len() + state.busy.min(state.servers) }
    }

    /// Whether the actor needs its code no more: it has ended or has other code, or its code has come to the end that a
    /// stop or a swap was waiting for.
    pub(crate) fn is_out_of_use(&self) -> bool {
        let state = self.state();
        state.ended || (state.closing && state.is_quiet())
    }

    /// Whether any code is in the middle of something.
    pub(crate) fn is_busy(&self) -> bool {
        self.state().busy > 0
    }

    /// The actor is about to end: calls under way are cancelled, and none begins. Whether nobody is left in the middle of
    /// one; if not, `actor` is woken when that is so.
    pub(crate) fn wind_up(&self, actor: impl FnOnce() -> Waker) -> bool {
        let mut state = self.state();
        // Also where nobody is: what lies here is not to be begun while the actor ends.
        state.winding = true;
        if state.is_deserted() {
            return true;
        }
        state.actor = Some(actor());
        let tasks = std::mem::take(&mut state.tasks);
        let cancelled: Vec<_> = tasks.into_iter().map(|(bell, task)| (bell.cancel(task), bell)).collect();
        let called = state.call_all();
        drop(state);
        called.tell();
        drop(cancelled);
        false
    }

    /// Whether its actor waits for calls that were cancelled.
    pub(crate) fn is_winding_up(&self) -> bool {
        self.state().winding
    }

    /// The actor has ended, or has other code: who asked is told, and code in the middle of something is
    /// cancelled. What lies here is lost, and returned.
    pub(crate) fn end(&self) -> Vec<Item> {
        let mut state = self.state();
        if std::mem::replace(&mut state.ended, true) {
            return Vec::new();
        }
        let lost = state.empty();
        let open = std::mem::take(&mut state.open);
        let tasks = std::mem::take(&mut state.tasks);
        let (cancelled, done) = if state.busy > 0 { (tasks, Vec::new()) } else { (Vec::new(), tasks) };
        // Before it is told that there is no more, or it would go on with that at once. What is refused is dropped
        // later, under no lock, and so are the bells.
        let cancel = |(bell, task): (Bell, _)| (bell.cancel(task), bell);
        let cancelled: Vec<_> = cancelled.into_iter().map(cancel).collect();
        let called = state.call_all();
        self.rouse(state);
        called.tell();
        drop((open, done, cancelled));
        lost
    }
}

/// What both sides need.
impl Shelf {
    /// Wakes the threads that wait. They are asked for first, as each call costs one of the system.
    fn rouse(&self, mut state: MutexGuard<'_, State>) {
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.arrived.notify_all();
        }
    }

    /// Wakes the actor if it may go on.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        let actor = if state.has_room() { state.actor.take() } else { None };
        drop(state);
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
