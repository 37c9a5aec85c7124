//! The shelf of an actor whose code runs somewhere else than in its turns: in a task of an event loop, or
//! on a thread of its own.
//!
//! The turns of the actor, on the workers, put its messages on the shelf, up to a bound, and its code takes
//! them from there when it comes for them. What is on the shelf counts as given to the code: a stop or a
//! hot swap waits until it is handled (D5), a kill does not.

mod item;
mod matcher;
mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;

use myrmidon::Pid;
use pyo3::prelude::*;

pub(crate) use item::Item;
pub(crate) use matcher::Matcher;

use crate::ask::Answer;
use crate::handler_task::HandlerTask;
use crate::loop_bell::Bell;
use crate::promise::Promise;
use state::{DEPTH, State, Waiting};

/// What an actor and its code share.
pub(crate) struct Shelf {
    /// Whether the actor gives no message before its code comes for it: where its mailbox has a bound.
    strict: bool,
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
    pub(crate) fn new(strict: bool) -> Arc<Self> {
        let (pid, state, arrived) = Default::default();
        Arc::new(Self { strict, pid, state, arrived })
    }

    /// Says whose it is.
    pub(crate) fn belong(&self, pid: Pid) {
        self.pid.get_or_init(|| pid);
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
        let room = !self.strict && state.ready.len() < DEPTH;
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
        let room = state.has_room(self.strict);
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

    /// The actor has ended, or has other code: what lies here is lost, who asked is told, and code in the
    /// middle of something is cancelled.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let lost = (std::mem::take(&mut state.ready), std::mem::take(&mut state.aside));
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
        drop((lost, open, done, cancelled));
    }
}

/// The side of the code.
impl Shelf {
    /// Says which task the code runs in.
    pub(crate) fn run_in(&self, bell: Bell, task: Py<PyAny>) {
        let mut state = self.state();
        if !state.ended {
            return state.tasks.push((bell, task));
        }
        drop(state);
        drop(bell.cancel(task));
    }

    /// Counts one more piece of code that is in the middle of something: a function that is called, perhaps once more.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        state.busy += 1;
        state.closing = false;
    }

    /// Counts one piece less that is in the middle of something.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        state.busy -= 1;
        self.release(state);
    }

    /// As [`finish`](Self::finish), for code that comes for no message any more: what lies here is lost. How the actor
    /// stands to that.
    pub(crate) fn leave(&self) -> Standing {
        let mut state = self.state();
        state.busy -= 1;
        let lost = (std::mem::take(&mut state.ready), std::mem::take(&mut state.aside));
        let open = std::mem::take(&mut state.open);
        let tasks = std::mem::take(&mut state.tasks);
        let standing = match (state.ended, state.closing) {
            (true, _) => Standing::Ended,
            (false, true) => Standing::Closing,
            (false, false) => Standing::Open,
        };
        self.release(state);
        drop((lost, open, tasks));
        standing
    }

    /// Takes back the place of a task that serves the handler; not if there is more to do.
    pub(crate) fn dismiss(&self) -> bool {
        let mut state = self.state();
        let over = state.is_over();
        state.servers -= usize::from(over);
        over
    }

    /// The oldest message, for a task that serves a handler and is in the middle of something from then on, until
    /// [`finish`](Self::finish); and whether one more of `most` tasks has a place, as by [`hire`](Self::hire). `None` if
    /// there is no message.
    pub(crate) fn serve(&self, py: Python<'_>, most: usize) -> PyResult<Option<(Taken, bool)>> {
        let (mut busy, mut hired) = (false, false);
        loop {
            let mut state = self.state();
            // Busy as soon as it is taken: there is no moment in which the actor could think that all is done.
            let item = state.oldest();
            match (item.is_some(), busy) {
                (true, false) => state.busy += 1,
                (false, true) => state.busy -= 1,
                _ => {}
            }
            busy = item.is_some();
            // Others may be needed for what lies behind it.
            hired |= state.hire(most);
            self.release(state);
            let Some(mut item) = item else { return Ok(None) };
            if item.is_wanted() {
                let object = item.object(py).inspect_err(|_| self.finish())?.unbind();
                let taken = (object, item.answer.take().and_then(|answer| self.keep(answer)));
                return Ok(Some((taken, hired)));
            }
        }
    }

    /// The oldest message that `matcher` picks, or the oldest of all.
    pub(crate) fn take(&self, py: Python<'_>, matcher: Option<&Matcher>) -> PyResult<Found> {
        loop {
            let (found, over) = match matcher {
                None => self.next(),
                Some(matcher) => self.pick(py, matcher)?,
            };
            let Some(mut item) = found else {
                return Ok(if over { Found::Over } else { Found::Nothing });
            };
            if item.is_wanted() {
                let object = item.object(py)?.unbind();
                return Ok(Found::Item((object, item.answer.take().and_then(|answer| self.keep(answer)))));
            }
        }
    }

    /// Waits until something arrives or it is over, at most for `limit`; whether that is so.
    pub(crate) fn wait(&self, matcher: Option<&Matcher>, limit: Option<Duration>) -> Option<()> {
        let mut state = self.state();
        if !state.has_news(matcher) {
            state.asleep = true;
            state = match limit {
                Some(limit) => {
                    self.arrived.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.has_news(matcher).then_some(())
    }

    /// Has `promise` given a sign when something arrives or it is over.
    pub(crate) fn notify(&self, promise: Py<Promise>, matcher: Option<&Matcher>) {
        self.tell_of_news(Waiting::Promise { promise, picky: matcher.is_some() }, matcher);
    }

    /// As [`notify`](Self::notify), for a task that serves a handler.
    pub(crate) fn await_next(&self, server: Py<HandlerTask>) {
        self.tell_of_news(Waiting::Server(server), None);
    }

    fn tell_of_news(&self, waiting: Waiting, matcher: Option<&Matcher>) {
        let mut state = self.state();
        if state.has_news(matcher) {
            drop(state);
            return waiting.tell();
        }
        state.waiting.push_back(waiting);
    }

    /// Takes back a `notify`. If it was told already, another is told in its place.
    pub(crate) fn withdraw(&self, promise: &Py<Promise>) {
        let mut state = self.state();
        let place = state.waiting.iter().position(|waiting| waiting.is(promise));
        let gone = place.and_then(|place| state.waiting.remove(place));
        let called = if gone.is_none() && state.has_news(None) { state.call() } else { None };
        drop(state);
        if let Some(called) = called {
            called.tell();
        }
        if let Some(Waiting::Promise { promise, .. }) = gone {
            promise.get().forget_deadline();
        }
    }

    /// The way back with this number, if it was not used.
    pub(crate) fn answer(&self, number: u64) -> Option<Answer> {
        self.state().open.remove(&number)
    }

    /// How many messages lie here.
    pub(crate) fn len(&self) -> usize {
        let state = self.state();
        state.aside.len() + state.ready.len()
    }

    /// Keeps a way back until it is used, or the actor ends.
    fn keep(&self, answer: Answer) -> Option<u64> {
        let mut state = self.state();
        if state.ended {
            drop(state);
            drop(answer);
            return None;
        }
        state.last += 1;
        let number = state.last;
        state.open.insert(number, answer);
        Some(number)
    }

    fn next(&self) -> (Option<Item>, bool) {
        let mut state = self.state();
        let item = state.oldest();
        let over = state.is_over();
        self.release(state);
        (item, over)
    }

    /// As `next`; what is passed over is set aside. Predicates are called under no lock.
    fn pick(&self, py: Python<'_>, matcher: &Matcher) -> PyResult<(Option<Item>, bool)> {
        let mut state = self.state();
        let mut items = std::mem::take(&mut state.aside);
        state.hungry |= state.ready.is_empty();
        items.append(&mut state.ready);
        let (over, taken) = (state.is_over(), state.taken_aside);
        self.release(state);
        let known = *matcher.checked.lock().unwrap_or_else(PoisonError::into_inner);
        // Another task of the actor may have taken one of those looked at before.
        let mut checked = if known.1 == taken { known.0 } else { 0 };
        let mut picked = Ok(None);
        while let Some(item) = items.get_mut(checked) {
            match matcher.picks(py, item) {
                Ok(false) => checked += 1,
                Ok(true) => {
                    picked = Ok(items.remove(checked));
                    break;
                }
                Err(error) => {
                    picked = Err(error);
                    break;
                }
            }
        }
        let one = u64::from(matches!(picked, Ok(Some(_))));
        *matcher.checked.lock().unwrap_or_else(PoisonError::into_inner) = (checked, taken + one);
        let mut state = self.state();
        state.taken_aside += one;
        items.append(&mut state.aside);
        state.aside = items;
        drop(state);
        Ok((picked?, over))
    }

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
        let actor = if state.has_room(self.strict) { state.actor.take() } else { None };
        drop(state);
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How an actor stands to code that has come to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It expected more of it.
    Open,
    /// It waited for that.
    Closing,
    /// It has ended, or has other code.
    Ended,
}
