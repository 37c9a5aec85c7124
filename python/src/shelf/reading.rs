//! The side of the code: how it comes for messages, waits for them, and says that it is done.

use std::mem;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

use super::state::{State, Waiting};
use super::{Found, Item, Matcher, Shelf, Taken};
use crate::ask::Answer;
use crate::handler_task::HandlerTask;
use crate::loop_bell::Bell;
use crate::promise::Promise;

impl Shelf {
    /// Says which task the code runs in.
    pub(crate) fn run_in(&self, bell: Bell, task: Py<PyAny>) {
        let mut state = self.state();
        if !state.ended && !state.winding {
            return state.tasks.push((bell, task));
        }
        drop(state);
        drop(bell.cancel(task));
    }

    /// A call of the handler has raised, or will not be finished.
    pub(crate) fn abort(&self) {
        let mut state = self.state();
        state.calls -= 1;
        self.tell_if_none(state);
    }

    /// None of them will come to its end.
    pub(crate) fn expect_none(&self) {
        let mut state = self.state();
        state.lost = true;
        self.tell_if_none(state);
    }

    /// Wakes the actor if it waits for calls, of which there are no more.
    fn tell_if_none(&self, mut state: MutexGuard<'_, State>) {
        let actor = if state.winding && state.is_deserted() { state.actor.take() } else { None };
        drop(state);
        if let Some(actor) = actor {
            actor.wake();
        }
    }

    /// Counts one more piece of code that is in the middle of something: a function that is called, perhaps once more.
    pub(crate) fn open(&self) {
        let mut state = self.state();
        state.busy += 1;
        state.closing = false;
    }

    /// A call of the handler has returned.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        state.busy -= 1;
        state.calls -= 1;
        if state.winding {
            return self.tell_if_none(state);
        }
        self.release(state);
    }

    /// Counts one piece of code less: a function that has come to its end, or has `failed`, and takes no more messages. What
    /// lies here and is lost, where its actor waited for that, or has ended.
    ///
    /// `None` where the actor ends with the function. That is what tells who asked, and until then the function counts as
    /// busy: nobody is to call it again.
    pub(crate) fn leave(&self, failed: bool) -> Option<Vec<Item>> {
        let mut state = self.state();
        let tasks = mem::take(&mut state.tasks);
        if !state.ended && (failed || !state.closing) {
            state.left = true;
            drop(state);
            drop(tasks);
            return None;
        }
        let open = mem::take(&mut state.open);
        let lost = state.empty();
        state.busy -= 1;
        self.release(state);
        drop((open, tasks));
        Some(lost)
    }

    /// Whoever had the way back with this number has dropped it: who asked is told that there is no answer, unless the end of
    /// the actor is about to tell him why.
    pub(crate) fn drop_answer(&self, number: u64) {
        let mut state = self.state();
        let dropped = if state.left { None } else { state.open.remove(&number) };
        drop(state);
        drop(dropped);
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
            let item = if state.winding { None } else { state.oldest() };
            match (item.is_some(), busy) {
                (true, false) => (state.busy, state.calls) = (state.busy + 1, state.calls + 1),
                (false, true) => (state.busy, state.calls) = (state.busy - 1, state.calls - 1),
                _ => {}
            }
            busy = item.is_some();
            if item.is_none() && state.winding {
                self.tell_if_none(state);
                return Ok(None);
            }
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
        // Another may have taken what came since it looked.
        while !state.hungry && !state.has_news(matcher) {
            state.hungry = true;
            self.release(state);
            state = self.state();
        }
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
        self.release(state);
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
        let mut items = mem::take(&mut state.aside);
        items.append(&mut state.ready);
        let (over, taken) = (state.is_over(), state.taken_aside);
        drop(state);
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
        // It wants to see what comes behind those that it has passed over.
        state.hungry |= matches!(picked, Ok(None));
        self.release(state);
        Ok((picked?, over))
    }
}
