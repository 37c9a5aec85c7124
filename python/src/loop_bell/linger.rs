//! Staying for what is about to be left, instead of going to sleep in the loop.
//!
//! Who asks has the loop call the bell once more, behind all that is ready to run: until then nobody rings, and the
//! tasks that ask in the same round share the call. It lets go of the interpreter at once for who is to
//! answer, and looks for a moment for the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;

use super::Bell;
use crate::lane::Crew;

/// What the loop calls. Dropped uncalled by a loop that is closed.
#[pyclass(frozen, module = "myrmidon._core")]
struct Linger {
    bell: Bell,
    /// Whose driver answers, if it is one.
    crew: Option<Arc<Crew>>,
    /// Whether the crew still waits until this lets go of the interpreter.
    awaited: AtomicBool,
    came: AtomicBool,
}

impl Bell {
    /// Has the loop come by when all that is ready has run. To be called on the loop's thread, before the question is sent to
    /// an actor of `crew`, or of none.
    pub(crate) fn linger(&self, py: Python<'_>, crew: Option<&Arc<Crew>>) -> PyResult<()> {
        if !self.waiting().announce() {
            return Ok(());
        }
        if let Some(crew) = crew {
            crew.expect_room();
        }
        let linger = Linger {
            bell: self.clone(),
            crew: crew.cloned(),
            awaited: AtomicBool::new(crew.is_some()),
            came: AtomicBool::new(false),
        };
        self.event_loop(py)?.call_method1(intern!(py, "call_soon"), (linger,)).map(drop)
    }
}

#[pymethods]
impl Linger {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        if !self.bell.is_here() {
            return Ok(());
        }
        if let Some(crew) = &self.crew {
            if self.bell.waiting().is_empty() {
                py.detach(|| {
                    self.make_room();
                    crew.watch_burst(|| !self.bell.waiting().is_empty());
                });
            }
            self.make_room();
        }
        self.came.store(true, Ordering::Relaxed);
        self.bell.waiting().come();
        // Before the tasks go on, as they ask anew.
        let enlisted = self.bell.enlist(py);
        self.bell.work(py).and(enlisted)
    }
}

impl Linger {
    fn make_room(&self) {
        if self.awaited.swap(false, Ordering::Relaxed)
            && let Some(crew) = &self.crew
        {
            crew.make_room();
        }
    }
}

impl Drop for Linger {
    fn drop(&mut self) {
        self.make_room();
        if self.bell.is_here() && !self.came.load(Ordering::Relaxed) {
            self.bell.waiting().come();
            self.bell.rest();
        }
    }
}
