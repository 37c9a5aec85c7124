//! The runtime's own event loop, for async code that is started where no loop runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::call::with_argument;
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
        if let Some(running) = &*self.running() {
            return Ok(running.bell.clone());
        }
        // Made under no lock, as that runs Python: another thread may get the interpreter, and want the lock. If two
        // threads make one at once, one loop is thrown away.
        let event_loop = known::NEW_EVENT_LOOP.get(py)?.call0()?;
        let bell = Bell::of(&event_loop)?;
        let mut running = self.running();
        if let Some(first) = &*running {
            let first = first.bell.clone();
            drop(running);
            event_loop.call_method0("close")?;
            return Ok(first);
        }
        let unbound = event_loop.clone().unbind();
        let thread = thread::Builder::new()
            .name("myrmidon-loop".to_owned())
            .stack_size(STACK)
            .spawn(move || serve(&unbound))?;
        *running = Some(Running { bell: bell.clone(), thread });
        Ok(bell)
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

fn serve(event_loop: &Py<PyAny>) {
    Python::try_attach(|py| {
        begin_thread(py);
        let serve = known::SERVE_LOOP.get(py);
        if let Err(error) = serve.and_then(|serve| with_argument(serve, event_loop.bind(py))) {
            error.write_unraisable(py, None);
        }
    });
}
