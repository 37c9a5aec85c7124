//! `os.fork()` copies one thread; a runtime's other threads do not exist in the child.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use myrmidon::actor::ForkGuard;
use myrmidon::buffer::HeldTable;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::ForkedError;
use crate::memory::Buffer;
use crate::{buffer, finish, loop_bell, simulation};

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The process in which something was made.
#[derive(Clone, Copy)]
pub(crate) struct Birth(u32);

impl Birth {
    pub(crate) fn now() -> Self {
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this is still the process of the birth.
    pub(crate) fn is_here(self) -> bool {
        self.0 == GENERATION.load(Ordering::Relaxed)
    }

    pub(crate) fn check(self) -> PyResult<()> {
        if self.is_here() {
            return Ok(());
        }
        Err(ForkedError::new_err(
            "this Runtime was made before os.fork() and its threads do not exist in the child: make a new \
             Runtime after the fork, or start processes with multiprocessing's \"spawn\" method",
        ))
    }
}

/// Every lock that all runtimes share.
struct Held {
    _core: ForkGuard,
    _running: finish::Held,
    _bells: loop_bell::Held,
    _buffers: HeldTable<'static, Py<Buffer>>,
    _simulations: simulation::Held,
}

thread_local! {
    /// Held while this thread forks, so that the child finds none locked by a thread that it has not.
    static HELD: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

/// Has every fork prepared, and its child counted.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    let os = py.import("os")?;
    if !os.hasattr("register_at_fork")? {
        return Ok(()); // Windows has no fork.
    }
    let hooks = PyDict::new(py);
    hooks.set_item("before", wrap_pyfunction!(before_fork, py)?)?;
    hooks.set_item("after_in_parent", wrap_pyfunction!(after_fork, py)?)?;
    hooks.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, py)?)?;
    os.call_method("register_at_fork", (), Some(&hooks))?;
    Ok(())
}

#[pyfunction]
fn before_fork() {
    // None of these is held by a thread that waits for the interpreter.
    let held = Held {
        _running: finish::hold(),
        _bells: loop_bell::hold(),
        _buffers: buffer::hold(),
        _simulations: simulation::hold(),
        _core: ForkGuard::hold(),
    };
    HELD.with_borrow_mut(|all| all.push(held));
}

#[pyfunction]
fn after_fork() {
    drop(HELD.with_borrow_mut(Vec::pop));
}

#[pyfunction]
fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    after_fork();
}
