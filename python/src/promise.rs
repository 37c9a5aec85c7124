//! What is awaited in an event loop: something that any thread may give.
//!
//! To a task it is what a future of asyncio is, by the protocol that asyncio has for other classes of futures
//! (`_asyncio_future_blocking`). It differs in two points, for speed: what is given is there at once and under no
//! interpreter lock, so a thread may look for it; and the bell of the loop has those who wait go on itself,
//! where a future would ask the loop to do so in its next round, each for itself.

mod slots;
mod state;
mod waiter;

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::loop_bell::Bell;
use crate::outcome::Outcome;
use crate::waiters::Remembered;
pub(crate) use slots::install;
use state::{Kind, Stage, State};
use waiter::{Callbacks, Waiter};

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
            waiters: Callbacks::default(),
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
        self.state().waiters.only()?.context.as_ref().map(|context| context.bind(py).clone())
    }

    /// What was given, or what is raised for it, once; `CancelledError` if it was cancelled.
    ///
    /// # Errors
    /// That, and `InvalidStateError` before it has come and after it was raised.
    pub(crate) fn outcome(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let value = self.take(py)?;
        self.state().stage = Stage::Value(value.clone_ref(py));
        Ok(value)
    }

    /// As [`outcome`](Self::outcome), for who alone comes for it: a value that was given is not kept for others.
    ///
    /// # Errors
    /// As `outcome`, where a value that was taken counts as raised.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let mut state = self.state();
        match mem::replace(&mut state.stage, Stage::Raised) {
            Stage::Given(outcome) => {
                // It may make objects, which can run any code.
                drop(state);
                outcome.into_result(py)
            }
            kept => {
                let found = kept.look(py);
                state.stage = kept;
                found
            }
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
        let (waiters, quiet) = this.get().take_waiters();
        waiters.into_iter().try_for_each(|waiter| waiter.call(this, quiet))
    }

    /// As [`wake`](Self::wake), in a later round of the loop.
    ///
    /// # Errors
    /// If the loop is closed.
    pub(crate) fn wake_soon(this: &Bound<'_, Self>) -> PyResult<()> {
        this.get().take_waiters().0.into_iter().try_for_each(|waiter| waiter.call_soon(this))
    }

    /// Those who wait; and whether who awaits it takes the outcome, or needs none, so that a task need not look at it first.
    fn take_waiters(&self) -> (Callbacks, bool) {
        let mut state = self.state();
        state.rung = true;
        let waiters = mem::take(&mut state.waiters);
        let quiet = self.kind != Kind::Plain && matches!(state.stage, Stage::Given(_));
        let deadline = state.deadline.take();
        drop(state);
        self.bell.forget(deadline);
        self.count_out();
        (waiters, quiet)
    }

    /// Where to say what is to be called when it is done, if the loop waits for it; also where the bell is on its way.
    fn awaited(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state();
        (state.rings && !state.rung).then_some(state)
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
        if let Some(mut state) = this.get().awaited() {
            state.waiters.push(waiter);
            return Ok(());
        }
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
        let gone = self.state().waiters.extract(is_equal);
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
