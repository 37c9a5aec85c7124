//! The runtime's own event loop, for async code that is started where no loop runs.
//!
//! It outlives what its actors do (`_tasks.serve_loop`). If it comes to its end all the same, by a `close` from elsewhere,
//! another takes its place.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use crate::known;
use crate::lane::STACK;
use crate::lanes::begin_thread;
use crate::loop_bell::Bell;

/// A loop on a thread of its own, which starts when it is first needed.
#[derive(Default)]
pub(crate) struct OwnLoop(Mutex<Option<Running>>);

struct Running {
    bell: Bell,
    thread: JoinHandle<()>,
}

impl OwnLoop {
    /// The bell of the loop.
    ///
    /// # Errors
    /// If there can be no loop or no thread.
    pub(crate) fn bell(&self, py: Python<'_>) -> PyResult<Bell> {
        if let Some(bell) = self.living_bell() {
            return Ok(bell);
        }
        // Made under no lock, as that runs Python: another thread may get the interpreter, and want the lock. If two
        // threads make one at once, one loop is thrown away.
        let event_loop = known::NEW_EVENT_LOOP.get(py)?.call0()?;
        let bell = Bell::of(&event_loop)?;
        let mut running = self.running();
        if let Some(first) = running.as_ref().filter(|first| !first.bell.is_over()) {
            let first = first.bell.clone();
            drop(running);
            event_loop.call_method0("close")?;
            return Ok(first);
        }
        let (unbound, served) = (event_loop.clone().unbind(), bell.clone());
        let thread = thread::Builder::new()
            .name("myrmidon-loop".to_owned())
            .stack_size(STACK)
            .spawn(move || serve(&unbound, served))?;
        let before = running.replace(Running { bell: bell.clone(), thread });
        drop(running);
        // Its thread leaves by itself.
        if let Some(before) = before {
            before.bell.halt();
        }
        Ok(bell)
    }

    fn living_bell(&self) -> Option<Bell> {
        self.running().as_ref().map(|running| running.bell.clone()).filter(|bell| !bell.is_over())
    }

    /// Ends the loop and waits for its thread, at most for `limit`.
    pub(crate) fn stop(&self, limit: Duration) {
        let Some(Running { bell, thread }) = self.running().take() else { return };
        bell.halt();
        let deadline = Instant::now() + limit;
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(event_loop: &Py<PyAny>, bell: Bell) {
    Python::try_attach(|py| {
        begin_thread(py);
        let is_stopped = PyCFunction::new_closure(py, None, None, move |_, _| bell.is_stopped());
        let served = is_stopped
            .and_then(|is_stopped| known::SERVE_LOOP.get(py)?.call1((event_loop.bind(py), is_stopped)));
        if let Err(error) = served {
            error.write_unraisable(py, None);
        }
    });
}
