//! Pull actors: a function that runs once and takes the messages of its actor from a mailbox, in a task of
//! an event loop or on a thread of its own.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use myrmidon::actor::ExitReason;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::call::with_argument;
use crate::code::Code;
use crate::current::own_thread;
use crate::errors::Busy;
use crate::known;
use crate::lane::STACK;
use crate::lanes::begin_thread;
use crate::loop_bell::{Bell, Errand};
use crate::mailbox::Mailbox;

/// A function, and where it runs.
pub(crate) enum Function {
    Task(Arc<PullTask>),
    Thread(PullThread),
}

/// An `async def` function.
pub(crate) struct PullTask {
    pub(crate) bell: Bell,
    pub(crate) function: Py<PyAny>,
    pub(crate) context: Py<PyAny>,
}

/// A plain function.
pub(crate) struct PullThread {
    function: Arc<Py<PyAny>>,
    threads: Arc<Threads>,
    /// For its first run.
    place: Option<Place>,
}

impl Function {
    /// Calls it.
    pub(crate) fn start(&mut self, code: &Arc<Code>) -> Result<(), ExitReason> {
        match self {
            Self::Task(_) if self.is_lost() => Err(ExitReason::Shutdown),
            Self::Task(task) => {
                task.start(code);
                Ok(())
            }
            Self::Thread(thread) => thread.start(code),
        }
    }

    /// Whether the loop in which it would run has ended.
    pub(crate) fn is_lost(&self) -> bool {
        self.bell().is_some_and(Bell::is_over)
    }

    /// The bell of the loop in which it runs, if it runs in one.
    pub(crate) fn bell(&self) -> Option<&Bell> {
        match self {
            Self::Task(task) => Some(&task.bell),
            Self::Thread(_) => None,
        }
    }
}

impl PullTask {
    fn start(self: &Arc<Self>, code: &Arc<Code>) {
        code.shelf.open();
        self.bell.run(Box::new(Start { task: self.clone(), code: code.clone() }));
    }

    fn call(&self, py: Python<'_>, code: &Arc<Code>) -> PyResult<()> {
        let mailbox = Mailbox::new(code.clone());
        let arguments = (mailbox, &self.function, &self.context, self.bell.event_loop(py)?);
        let task = known::START_FUNCTION.get(py)?.call1(arguments)?;
        code.shelf.run_in(self.bell.clone(), task.unbind());
        Ok(())
    }
}

/// Has a function called. There is one at most for each, as it is called again when it has returned.
struct Start {
    task: Arc<PullTask>,
    code: Arc<Code>,
}

impl Errand for Start {
    fn run(self: Box<Self>, py: Python<'_>) {
        if let Err(error) = self.task.call(py, &self.code) {
            self.code.returned(py, Some(error));
        }
    }

    /// The shelf holds nothing of an actor that has ended.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if Arc::strong_count(&self.task) > 1 {
            return Ok(());
        }
        visit.call(&self.task.function)?;
        visit.call(&self.task.context)
    }
}

impl PullThread {
    /// # Errors
    /// `Busy` if as many run as may.
    pub(crate) fn new(function: Py<PyAny>, threads: &Arc<Threads>) -> PyResult<Self> {
        let Some(place) = threads.take() else {
            return Err(Busy::new_err(format!(
                "{MOST_THREADS} pull actors run on threads of their own already: use async functions, which \
                 need none, or end some first"
            )));
        };
        Ok(Self { function: Arc::new(function), threads: threads.clone(), place: Some(place) })
    }

    fn start(&mut self, code: &Arc<Code>) -> Result<(), ExitReason> {
        let place = self.place.take().or_else(|| self.threads.take());
        let place =
            place.ok_or_else(|| ExitReason::Other("no thread is free for its function".to_owned()))?;
        code.shelf.open();
        let (code, function) = (code.clone(), self.function.clone());
        let thread = thread::Builder::new().name("myrmidon-pull".to_owned()).stack_size(STACK);
        let started = thread.spawn(move || {
            run(&function, &code);
            drop(function);
            drop(place);
        });
        started.map(drop).map_err(|error| ExitReason::Other(format!("no thread for its function: {error}")))
    }
}

/// The life of a thread, which keeps one state of the interpreter.
fn run(function: &Py<PyAny>, code: &Arc<Code>) {
    own_thread(code.pid());
    Python::try_attach(|py| {
        begin_thread(py);
        let mailbox = Bound::new(py, Mailbox::new(code.clone()));
        let returned = mailbox.and_then(|mailbox| with_argument(function.bind(py), &mailbox));
        code.returned(py, returned.err());
    });
}

/// Threads of one runtime.
const MOST_THREADS: usize = 256;

/// How many threads run functions.
#[derive(Default)]
pub(crate) struct Threads {
    running: Mutex<usize>,
    changed: Condvar,
}

/// The right to run a thread.
struct Place(Arc<Threads>);

impl Threads {
    /// Waits until none runs, at most for `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut running = self.running();
        while *running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            running = self.changed.wait_timeout(running, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let mut running = self.running();
        if *running == MOST_THREADS {
            return None;
        }
        *running += 1;
        Some(Place(self.clone()))
    }

    fn running(&self) -> MutexGuard<'_, usize> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.running() -= 1;
        self.0.changed.notify_all();
    }
}
