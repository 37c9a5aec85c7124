//! What is awaited in an event loop: something that any thread may give.
//!
//! To a task it is what a future of asyncio is, by the protocol that asyncio has for other classes of futures
//! (`_asyncio_future_blocking`). It differs in two points, for speed: what is given is there at once and under no
//! interpreter lock, so a thread may look for it; and the bell of the loop has those who wait go on itself,
//! where a future would ask the loop to do so in its next round, each for itself.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTraverseError, PyVisit};

use crate::call;
use crate::loop_bell::{Bell, Ticket};
use crate::outcome::Outcome;
use crate::waiters::Remembered;

/// Belongs to one loop. Everything but [`give`](Self::give) is to be done on the thread of that.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Promise {
    bell: Bell,
    /// Whether it is an ask under way, which the bell's patience counts.
    counted: AtomicBool,
    /// Whether a task is about to wait for it, in the protocol of asyncio.
    blocking: AtomicBool,
    /// Whether `state` holds what was given; for those who only look.
    done: AtomicBool,
    /// Whether who awaits it lets others of the loop go first, though it is done.
    polite: AtomicBool,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// Whether the bell is rung when something is given.
    rings: bool,
    /// Whether it has been: nobody else is called.
    rung: bool,
    waiters: Vec<Waiter>,
    deadline: Option<Ticket>,
    remembered: Option<Remembered>,
}

enum Stage {
    Open,
    Given(Outcome),
    Value(Py<PyAny>),
    /// An error, which is not kept: raised, it holds the frames that hold this.
    Raised,
    /// With the message that was given along.
    Cancelled(Option<Py<PyAny>>),
}

/// What is called, in its context.
struct Waiter {
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

impl Promise {
    /// One that the loop of `bell` waits for.
    pub(crate) fn new<'py>(py: Python<'py>, bell: Bell) -> PyResult<Bound<'py, Self>> {
        Self::make(py, bell, false, true)
    }

    /// One for the answer to an ask that was counted. Nobody is woken before [`wait`](Self::wait).
    pub(crate) fn of_ask<'py>(py: Python<'py>, bell: Bell) -> PyResult<Bound<'py, Self>> {
        Self::make(py, bell, true, false)
    }

    fn make<'py>(py: Python<'py>, bell: Bell, asks: bool, rings: bool) -> PyResult<Bound<'py, Self>> {
        let state = State {
            stage: Stage::Open,
            rings,
            rung: false,
            waiters: Vec::new(),
            deadline: None,
            remembered: None,
        };
        Bound::new(
            py,
            Self {
                bell,
                counted: AtomicBool::new(asks),
                blocking: AtomicBool::new(false),
                done: AtomicBool::new(false),
                polite: AtomicBool::new(false),
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
        let mut state = promise.state();
        if !matches!(state.stage, Stage::Open) {
            drop(state);
            drop(outcome);
            return false;
        }
        state.stage = Stage::Given(outcome);
        let (rings, remembered) = (state.rings, state.remembered.take());
        promise.done.store(true, Ordering::Release);
        drop(state);
        // Now, as the loop may never come to it.
        drop(remembered);
        if rings {
            promise.bell.clone().wake(this);
        }
        true
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
        this.get().take_waiters().into_iter().try_for_each(|waiter| waiter.call(this))
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

impl Waiter {
    fn call(self, promise: &Bound<'_, Promise>) -> PyResult<()> {
        let py = promise.py();
        if let Some(context) = &self.context {
            return call::in_context(context.bind(py), self.callback.bind(py), promise);
        }
        call::with_argument(self.callback.bind(py), promise).map(drop)
    }

    /// Leaves it to the loop.
    fn call_soon(self, promise: &Bound<'_, Promise>) -> PyResult<()> {
        let py = promise.py();
        let options = PyDict::new(py);
        if let Some(context) = self.context {
            options.set_item(intern!(py, "context"), context)?;
        }
        let event_loop = promise.get().bell.event_loop(py)?;
        event_loop.call_method(intern!(py, "call_soon"), (self.callback, promise), Some(&options)).map(drop)
    }
}

fn cancelled(py: Python<'_>, message: Option<&Py<PyAny>>) -> PyErr {
    match message {
        Some(message) => CancelledError::new_err((message.clone_ref(py),)),
        None => CancelledError::new_err(()),
    }
}
