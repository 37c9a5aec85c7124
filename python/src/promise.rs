//! What is awaited in an event loop: something that any thread may give.
//!
//! To a task it is what a future of asyncio is, by the protocol that asyncio has for other classes of futures
//! (`_asyncio_future_blocking`). It differs in two points, for speed: what is given is there at once and under no
//! interpreter lock, so a thread may look for it; and the bell of the loop has those who wait go on itself,
//! where a future would ask the loop to do so in its next round, each for itself.

mod state;
mod waiter;

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::loop_bell::Bell;
use crate::outcome::Outcome;
use crate::waiters::Remembered;
use state::{Kind, Stage, State};
use waiter::Waiter;

/// Belongs to one loop. Everything but [`give`](Self::give) is to be done on the thread of that.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Promise {
    bell: Bell,
    kind: Kind,
    /// Whether it is an ask under way, which the bell's patience counts.
    counted: AtomicBool,
    /// Whether a task is about to wait for it, in the protocol of asyncio.
    blocking: AtomicBool,
    /// Whether `state` holds what was given; for those who only look.
    done: AtomicBool,
    /// Whether who awaits it lets others of the loop go first, though it is done.
    polite: AtomicBool,
    /// Whether it was to be cancelled, and was done.
    refused: AtomicBool,
    state: Mutex<State>,
}

impl Promise {
    /// One that the loop of `bell` waits for.
    pub(crate) fn new<'py>(py: Python<'py>, bell: Bell) -> PyResult<Bound<'py, Self>> {
        Self::make(py, bell, Kind::Plain)
    }

    /// One for the answer to an ask that was counted. Nobody is woken before [`wait`](Self::wait).
    pub(crate) fn of_ask<'py>(py: Python<'py>, bell: Bell) -> PyResult<Bound<'py, Self>> {
        Self::make(py, bell, Kind::Ask)
    }

    /// One at which a task waits again and again ([`reopen`](Self::reopen)), and what it is given means nothing.
    pub(crate) fn of_door<'py>(py: Python<'py>, bell: Bell) -> PyResult<Bound<'py, Self>> {
        Self::make(py, bell, Kind::Door)
    }

    fn make<'py>(py: Python<'py>, bell: Bell, kind: Kind) -> PyResult<Bound<'py, Self>> {
        let state = State {
            stage: Stage::Open,
            rings: kind != Kind::Ask,
            rung: false,
            waiters: Vec::new(),
            deadline: None,
            remembered: None,
        };
        Bound::new(
            py,
            Self {
                bell,
                kind,
                counted: AtomicBool::new(kind == Kind::Ask),
                blocking: AtomicBool::new(false),
                done: AtomicBool::new(false),
                polite: AtomicBool::new(false),
                refused: AtomicBool::new(false),
                state: Mutex::new(state),
            },
        )
    }

    /// From now on the loop waits for it, unless it is done; whether it does.
    pub(crate) fn wait(&self) -> bool {
        let mut state = self.state();
        state.rings = matches!(state.stage, Stage::Open);
        state.rings
    }

    /// Has it become `late` at `at`, unless it has become something before.
    pub(crate) fn wait_until(this: &Bound<'_, Self>, at: Instant, late: Outcome) -> PyResult<()> {
        let promise = this.get();
        let ticket = promise.bell.wait_until(at, this.clone().unbind(), late, this.py())?;
        promise.state().deadline = Some(ticket);
        Ok(())
    }

    /// Has it forgotten when it becomes something, which it may have already.
    pub(crate) fn is_remembered(&self, place: Remembered) {
        let mut state = self.state();
        if matches!(state.stage, Stage::Open) {
            state.remembered = Some(place);
        } else {
            drop(state);
            drop(place);
        }
    }

    /// It is no ask under way any more.
    pub(crate) fn count_out(&self) {
        if self.counted.swap(false, Ordering::Relaxed) {
            self.bell.patience().end();
        }
    }

    /// Gives up its deadline.
    pub(crate) fn forget_deadline(&self) {
        let deadline = self.state().deadline.take();
        self.bell.forget(deadline);
    }

    /// Has others of the loop go first when it is awaited.
    pub(crate) fn be_polite(&self) {
        self.polite.store(true, Ordering::Relaxed);
    }

    /// Has it become `outcome`, unless it was cancelled, or has become something before; whether it has. From any
    /// thread, attached to the interpreter or not.
    pub(crate) fn give(this: Py<Self>, outcome: Outcome) -> bool {
        let promise = this.get();
        let rings = promise.accept(outcome);
        if rings == Some(true) {
            promise.bell.clone().wake(this);
        }
        rings.is_some()
    }

    /// As [`give`](Self::give), and leaves it to the caller to have those go on who wait. Whether the loop waits for it;
    /// `None` if it was not taken.
    pub(crate) fn accept(&self, outcome: Outcome) -> Option<bool> {
        let mut state = self.state();
        if !matches!(state.stage, Stage::Open) {
            drop(state);
            drop(outcome);
            return None;
        }
        state.stage = Stage::Given(outcome);
        let (rings, remembered) = (state.rings, state.remembered.take());
        self.done.store(true, Ordering::Release);
        drop(state);
        // Now, as the loop may never come to it.
        drop(remembered);
        Some(rings)
    }

    /// It may be given something once more, to those who wait and to who comes then.
    pub(crate) fn reopen(&self) {
        let mut state = self.state();
        let before = mem::replace(&mut state.stage, Stage::Open);
        state.rung = false;
        self.done.store(false, Ordering::Release);
        self.refused.store(false, Ordering::Relaxed);
        drop(state);
        drop(before);
    }

    /// Whether somebody has tried to cancel it since it was done.
    pub(crate) fn has_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The context in which the one who waits for it is called; `None` if it is not one, or has none of its own.
    pub(crate) fn context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        match self.state().waiters.as_slice() {
            [Waiter { context: Some(context), .. }] => Some(context.bind(py).clone()),
            _ => None,
        }
    }

    /// What was given, or what is raised for it, once; `CancelledError` if it was cancelled.
    ///
    /// # Errors
    /// That, and `InvalidStateError` before it has come and after it was raised.
    pub(crate) fn outcome(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut state = self.state();
        if let Stage::Given(_) = state.stage {
            let given = mem::replace(&mut state.stage, Stage::Raised);
            // It may make objects, which can run any code.
            drop(state);
            if let Stage::Given(outcome) = given {
                let value = outcome.into_result(py)?;
                self.state().stage = Stage::Value(value.clone_ref(py));
                return Ok(value);
            }
            state = self.state();
        }
        match &state.stage {
            Stage::Value(value) => Ok(value.clone_ref(py)),
            Stage::Raised => Err(InvalidStateError::new_err("its error was raised before")),
            Stage::Cancelled(message) => Err(cancelled(py, message.as_ref())),
            Stage::Open | Stage::Given(_) => Err(InvalidStateError::new_err("it has not come yet: await it")),
        }
    }

    /// What a task is to wait for: this, nothing but a turn of the others, or no more.
    pub(crate) fn next(this: &Bound<'_, Self>) -> Option<Py<PyAny>> {
        let promise = this.get();
        if !promise.is_done() {
            promise.blocking.store(true, Ordering::Relaxed);
            return Some(this.clone().into_any().unbind());
        }
        promise.polite.swap(false, Ordering::Relaxed).then(|| this.py().None())
    }

    /// Whether it was given something, or cancelled.
    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Has those go on who wait for it. Called by the bell, in no task.
    ///
    /// # Errors
    /// What a task lets through: `KeyboardInterrupt` and `SystemExit`.
    pub(crate) fn wake(this: &Bound<'_, Self>) -> PyResult<()> {
        let quiet = this.get().is_taken();
        this.get().take_waiters().into_iter().try_for_each(|waiter| waiter.call(this, quiet))
    }

    /// Whether who awaits it takes the outcome, or needs none, so that a task need not look at it first.
    fn is_taken(&self) -> bool {
        self.kind != Kind::Plain && matches!(self.state().stage, Stage::Given(_))
    }

    /// As [`wake`](Self::wake), in a later round of the loop.
    ///
    /// # Errors
    /// If the loop is closed.
    pub(crate) fn wake_soon(this: &Bound<'_, Self>) -> PyResult<()> {
        this.get().take_waiters().into_iter().try_for_each(|waiter| waiter.call_soon(this))
    }

    fn take_waiters(&self) -> Vec<Waiter> {
        let mut state = self.state();
        state.rung = true;
        let waiters = mem::take(&mut state.waiters);
        let deadline = state.deadline.take();
        drop(state);
        self.bell.forget(deadline);
        self.count_out();
        waiters
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Promise {
    fn __await__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(this: &Bound<'_, Self>) -> Option<Py<PyAny>> {
        Self::next(this)
    }

    #[getter(_asyncio_future_blocking)]
    fn is_blocking(&self) -> bool {
        self.blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.blocking.store(blocking, Ordering::Relaxed);
    }

    fn get_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.bell.event_loop(py)
    }

    #[pyo3(signature = (callback, /, *, context=None))]
    fn add_done_callback(
        this: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let waiter = Waiter { callback, context };
        let promise = this.get();
        let mut state = promise.state();
        // Also where the bell is on its way.
        if state.rings && !state.rung {
            state.waiters.push(waiter);
            return Ok(());
        }
        drop(state);
        waiter.call_soon(this)
    }

    /// Returns how many were removed. If a comparison raises, none is.
    fn remove_done_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let py = callback.py();
        let known: Vec<_> = self.state().waiters.iter().map(|waiter| waiter.callback.clone_ref(py)).collect();
        let mut equal = Vec::new();
        // Under no lock, and with all of them in their place, as it can run any code.
        for other in known {
            if other.bind(py).eq(callback)? {
                equal.push(other);
            }
        }
        let is_equal = |waiter: &mut Waiter| equal.iter().any(|other| other.is(&waiter.callback));
        let gone: Vec<_> = self.state().waiters.extract_if(.., is_equal).collect();
        Ok(gone.len())
    }

    fn done(&self) -> bool {
        self.is_done()
    }

    fn cancelled(&self) -> bool {
        matches!(self.state().stage, Stage::Cancelled(_))
    }

    #[pyo3(signature = (msg=None))]
    pub(crate) fn cancel(this: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> bool {
        let promise = this.get();
        if !promise.bell.is_here() {
            return false;
        }
        let mut state = promise.state();
        if !matches!(state.stage, Stage::Open) {
            promise.refused.store(true, Ordering::Relaxed);
            return false;
        }
        state.stage = Stage::Cancelled(msg);
        let remembered = state.remembered.take();
        promise.done.store(true, Ordering::Release);
        drop(state);
        drop(remembered);
        promise.bell.wake(this.clone().unbind());
        true
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.outcome(py)
    }

    fn __repr__(&self) -> String {
        let state = if !self.is_done() {
            "pending"
        } else if self.cancelled() {
            "cancelled"
        } else {
            "done"
        };
        format!("<myrmidon.Promise {state}>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if !self.bell.is_here() {
            return Ok(());
        }
        // Waited for, as each look of the collector has to see the same. It is never held while objects are made.
        let state = self.state();
        match &state.stage {
            Stage::Given(outcome) => outcome.traverse(&visit)?,
            Stage::Value(value) | Stage::Cancelled(Some(value)) => visit.call(value)?,
            _ => {}
        }
        state.waiters.iter().try_for_each(|waiter| {
            visit.call(&waiter.callback)?;
            visit.call(&waiter.context)
        })
    }

    fn __clear__(&self) {
        let mut state = self.state();
        let left = (mem::replace(&mut state.stage, Stage::Raised), mem::take(&mut state.waiters));
        drop(state);
        drop(left);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.count_out();
    }
}

fn cancelled(py: Python<'_>, message: Option<&Py<PyAny>>) -> PyErr {
    match message {
        Some(message) => CancelledError::new_err((message.clone_ref(py),)),
        None => CancelledError::new_err(()),
    }
}
