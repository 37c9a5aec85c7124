//! `os.fork()` copies one thread; a runtime's other threads do not exist in the child.
#![allow(unsafe_code, reason = "a function of the system: between the hooks of Python other code may run")]

use std::cell::RefCell;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use myrmidon::actor::ForkGuard;
use myrmidon::buffer::HeldTable;
use pyo3::prelude::*;

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

/// Has every fork prepared, and its child counted. Not by `os.register_at_fork`: while the hooks of others run, a
/// thread may get the interpreter and want one of the locks, for which it would wait with the interpreter in hand.
pub(crate) fn install() -> PyResult<()> {
    static INSTALLED: OnceLock<i32> = OnceLock::new();
    let code = *INSTALLED.get_or_init(|| {
        // SAFETY: the three are functions of a library that is never unloaded, and do not unwind.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork_in_child)) }
    });
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code).into()) }
}

extern "C" fn before_fork() {
    // None of these is held by a thread that waits for the interpreter.
    let held = Held {
        _running: finish::hold(),
        _bells: loop_bell::hold(),
        _buffers: buffer::hold(),
        _simulations: simulation::hold(),
        _core: ForkGuard::hold(),
    };
    // A thread that is at its end has no place for them, and lets them go at once.
    let _ = HELD.try_with(|all| all.borrow_mut().push(held));
}

extern "C" fn after_fork() {
    let _ = HELD.try_with(|all| drop(all.borrow_mut().pop()));
}

extern "C" fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    after_fork();
}
