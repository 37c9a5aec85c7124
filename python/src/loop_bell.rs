//! The bell of an event loop: how any thread has something done on the loop's thread.
//!
//! What is to be done goes into a list, without touching the interpreter. Only who finds the list empty
//! rings, by one byte into a socket that the loop reads; so a thousand answers wake the loop once. There is
//! one bell per loop, for all runtimes of the process. It works with every loop that has `add_reader`.
//!
//! The loop keeps its bell, and the bell does not keep the loop: one that is left standing is collected like any object once
//! nobody refers to it. What is left for such a loop waits until it runs again. When it is closed, which a
//! collected one is too, that is dropped, and the actors whose code runs in it end.

mod deadlines;
mod linger;
mod list;
mod loop_ref;
mod patience;
mod ringer;
mod work;

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use myrmidon::Pid;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

pub(crate) use deadlines::{Ticket, Young};

use crate::code::Code;
use crate::codes::Codes;
use crate::fork::Birth;
use crate::handler_task::HandlerTask;
use crate::known;
use crate::lane::make_way;
use crate::number::Id;
use crate::promise::Promise;
use crate::runtime::Shared;
use deadlines::Deadlines;
use list::{List, Task};
use loop_ref::LoopRef;
use patience::Patience;
use ringer::{End, Listen, Ringer};

/// Something to be done on the loop's thread.
pub(crate) trait Errand: Send {
    fn run(self: Box<Self>, py: Python<'_>);

    /// Shows the collector what nothing else but this keeps alive.
    ///
    /// # Errors
    /// What `visit` does not take.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;
}

/// What a closed loop did not take. To drop it can run any code of Python.
#[must_use = "it is dropped under no lock"]
pub(crate) struct Refused(#[expect(dead_code, reason = "only dropped")] Task);

/// The bell of one loop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bell(Arc<Inner>);

struct Inner {
    event_loop: LoopRef,
    waiting: Mutex<List>,
    deadlines: Mutex<Deadlines>,
    patience: Patience,
    /// The code of actors that end with the loop.
    dependents: Codes,
    ring: UnixStream,
    heard: UnixStream,
    /// The loop has ended, and nobody comes.
    over: AtomicBool,
    /// The loop is to stop.
    halted: AtomicBool,
    /// It was told so.
    stopped: AtomicBool,
    /// What notices that; kept as long as the bell.
    watch: OnceLock<Py<PyAny>>,
    birth: Birth,
}

thread_local! {
    /// The bell of the loop that this thread ran last, and the number of this thread.
    static LAST: RefCell<Option<(Bell, u64)>> = const { RefCell::new(None) };
}

/// The bells of loops that are not closed, and of some that are.
static BELLS: Mutex<Vec<Bell>> = Mutex::new(Vec::new());

impl Bell {
    /// The bell of the loop that runs on this thread.
    ///
    /// # Errors
    /// `RuntimeError` if there is none; `Busy` in a handler if as many wait as may.
    pub(crate) fn of_running(py: Python<'_>) -> PyResult<Self> {
        let running = Self::running(py)?;
        let bell = running
            .ok_or_else(|| PyRuntimeError::new_err("no running event loop: call it in a coroutine"))?;
        // Inside a plain handler, which waits for the loop that it runs, perhaps for another of its own lane.
        make_way()?;
        Ok(bell)
    }

    /// The bell of the loop that runs on this thread, if any.
    pub(crate) fn running(py: Python<'_>) -> PyResult<Option<Self>> {
        if let Some(bell) = work::of_this_thread() {
            return Ok(Some(bell));
        }
        let last = LAST.with_borrow(Clone::clone).filter(|(bell, _)| bell.is_here() && !bell.is_over());
        if let Some((bell, thread)) = &last
            && bell.runs_on(*thread, py)?
        {
            return Ok(Some(bell.clone()));
        }
        let event_loop = known::RUNNING_LOOP.get(py)?.call0()?;
        if event_loop.is_none() {
            return Ok(None);
        }
        if let Some((bell, _)) = last.filter(|(bell, _)| bell.is_of(&event_loop)) {
            return Ok(Some(bell));
        }
        let bell = Self::find_or(&event_loop, |bell| bell.listen(py))?;
        // It has come to its end, and runs once more; the next end is not noticed.
        bell.0.over.store(false, Ordering::Release);
        let thread = known::GET_IDENT.get(py)?.call0()?.extract()?;
        drop(LAST.replace(Some((bell.clone(), thread))));
        Ok(Some(bell))
    }

    /// Whether its loop is known to run on `thread`. Those of asyncio keep the thread's number while they run, which is quicker to
    /// compare than to ask for the running loop: up to Python 3.11 that takes a call of the system.
    fn runs_on(&self, thread: u64, py: Python<'_>) -> PyResult<bool> {
        let Some(event_loop) = self.0.event_loop.upgrade(py) else { return Ok(false) };
        let runs_on = event_loop.getattr_opt(intern!(py, "_thread_id"))?.filter(|runs_on| !runs_on.is_none());
        Ok(runs_on.and_then(|runs_on| runs_on.extract::<Id>().ok()).is_some_and(|number| number.0 == thread))
    }

    /// The bell of `event_loop`, which may run on another thread, or not yet.
    ///
    /// # Errors
    /// `RuntimeError` if the loop is closed.
    pub(crate) fn of(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::find_or(event_loop, |bell| {
            let py = event_loop.py();
            let listen = Bound::new(py, Listen::new(bell.clone()))?;
            event_loop.call_method1(intern!(py, "call_soon_threadsafe"), (listen,)).map(drop)
        })
    }

    /// The bell of `event_loop`. A new one is given to `hang`, to have the loop listen to it.
    fn find_or(event_loop: &Bound<'_, PyAny>, hang: impl FnOnce(&Self) -> PyResult<()>) -> PyResult<Self> {
        let known: Vec<_> = bells().clone();
        if let Some(bell) = known.into_iter().find(|bell| bell.is_of(event_loop)) {
            return Ok(bell);
        }
        let bell = Self::new(event_loop)?;
        hang(&bell)?;
        bells().push(bell.clone());
        Ok(bell)
    }

    /// Whether the loop has come to its end, as far as that is known.
    pub(crate) fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Acquire)
    }

    /// Says that the loop has come to its end, which is that of the actors whose code runs in it. In the child of a fork a
    /// loop may end too, but not its actors.
    pub(crate) fn end(&self) {
        if !self.is_here() {
            return;
        }
        self.0.over.store(true, Ordering::Release);
        let dependents = self.0.dependents.take();
        dependents.iter().for_each(|code| code.loop_ended());
    }

    /// Has the actor of `code` end with the loop; `false` if that has come to its end already.
    pub(crate) fn depends(&self, code: &Arc<Code>) -> bool {
        self.0.dependents.add(code);
        // After that: either the end sees the code, or this sees the end.
        !self.is_over()
    }

    /// Whether the actor `pid` of `runtime` runs in this loop.
    pub(crate) fn runs(&self, runtime: &Arc<Shared>, pid: Pid) -> bool {
        self.unhandled(runtime, pid).is_some()
    }

    /// How many messages were given to the actor `pid` of `runtime` and wait for this loop; `None` if it does not run here.
    pub(crate) fn unhandled(&self, runtime: &Arc<Shared>, pid: Pid) -> Option<usize> {
        self.0
            .dependents
            .of(pid)
            .into_iter()
            .find(|code| code.is_in_use(runtime))
            .map(|code| code.shelf.unhandled())
    }

    /// Says that the loop is closed: nothing that is left for it will be done.
    fn close(&self) {
        self.end();
        if !self.is_here() {
            return;
        }
        let left = (self.waiting().close(), self.deadlines().take());
        bells().retain(|bell| !Arc::ptr_eq(&bell.0, &self.0));
        // Under no lock, as objects of Python go with it.
        drop(left);
    }

    /// Whether this is the process in which it was made. In the child of a fork nobody gives back a lock that another
    /// thread held.
    pub(crate) fn is_here(&self) -> bool {
        self.0.birth.is_here()
    }

    /// What tells it from all other bells, as long as it is there.
    pub(crate) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Whether it is the bell of `event_loop`, in this process.
    pub(crate) fn is_of(&self, event_loop: &Bound<'_, PyAny>) -> bool {
        let own = || self.0.event_loop.upgrade(event_loop.py());
        self.is_here() && own().is_some_and(|own| own.is(event_loop))
    }

    /// Has the loop listen, and its end noticed. Called inside the loop.
    fn listen(&self, py: Python<'_>) -> PyResult<()> {
        let ringer = Ringer::new(self.clone());
        let add = intern!(py, "add_reader");
        self.event_loop(py)?.call_method1(add, (self.0.heard.as_raw_fd(), ringer))?;
        let end = End::new(Arc::downgrade(&self.0));
        let watch = known::WATCH_LOOP.get(py)?.call1((end,))?.unbind();
        let _ = self.0.watch.set(watch);
        Ok(())
    }

    /// The loop.
    ///
    /// # Errors
    /// `RuntimeError` if it was collected.
    pub(crate) fn event_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.event_loop.get(py)
    }

    /// A function of Python without arguments that returns the loop.
    pub(crate) fn get_loop(&self) -> &Py<PyAny> {
        self.0.event_loop.get_loop()
    }

    /// Has those go on who wait for `promise`, which is one of this loop.
    pub(crate) fn wake(&self, promise: Py<Promise>) {
        self.leave(Task::Wake(promise));
    }

    /// Has `server` go on, which is of this loop.
    pub(crate) fn serve(&self, server: Py<HandlerTask>) {
        self.leave(Task::Serve(server));
    }

    /// How long asks may be waited for on the loop's thread.
    pub(crate) fn patience(&self) -> &Patience {
        &self.0.patience
    }

    /// Has `errand` run soon; never if the loop is closed.
    pub(crate) fn run(&self, errand: Box<dyn Errand>) {
        self.leave(Task::Run(errand));
    }

    fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (ring, heard) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok(Self(Arc::new(Inner {
            event_loop: LoopRef::new(event_loop)?,
            waiting: Mutex::default(),
            deadlines: Mutex::default(),
            patience: Patience::default(),
            dependents: Codes::default(),
            ring,
            heard,
            over: AtomicBool::new(false),
            halted: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            watch: OnceLock::new(),
            birth: Birth::now(),
        })))
    }

    /// Has the loop stop as soon as it can. What was left for it is dropped.
    pub(crate) fn halt(&self) {
        self.end();
        self.0.halted.store(true, Ordering::Release);
        self.leave(Task::Halt);
    }

    /// Whether the loop was stopped, as [`halt`](Self::halt) wants.
    pub(crate) fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    /// Has `task` cancelled, which is one of this loop.
    ///
    /// # Errors
    /// The task, to be dropped under no lock, if the loop is closed.
    pub(crate) fn cancel(&self, task: Py<PyAny>) -> Result<(), Refused> {
        self.try_leave(Task::Cancel(task)).map_err(Refused)
    }

    fn leave(&self, task: Task) {
        drop(self.try_leave(task));
    }

    fn try_leave(&self, task: Task) -> Result<(), Task> {
        let added = self.waiting().add(task)?;
        if added {
            self.ring();
        }
        Ok(())
    }

    fn ring(&self) {
        // A full socket is rung enough.
        let _ = (&self.0.ring).write(&[1]);
    }

    /// Called by the loop when the bell was rung.
    fn answer(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_here() {
            return Ok(());
        }
        // Read before the list is taken: who adds to it afterwards rings again.
        while (&self.0.heard).read(&mut [0; 64]).is_ok_and(|read| read == 64) {}
        self.work(py)
    }

    /// The loop turns to other things, and is rung for what is left.
    fn rest(&self) {
        if self.waiting().rest() {
            self.ring();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, List> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The list of bells, for who forks.
pub(crate) type Held = MutexGuard<'static, Vec<Bell>>;

pub(crate) fn hold() -> Held {
    bells()
}

fn bells() -> MutexGuard<'static, Vec<Bell>> {
    BELLS.lock().unwrap_or_else(PoisonError::into_inner)
}
