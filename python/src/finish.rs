//! The end of the interpreter: what is queued is handled, then every thread of ours leaves.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

use crate::lane::Crew;
use crate::runtime::Shared;

/// How long mailboxes and outbound lanes drain at exit.
const DRAIN: Duration = Duration::from_secs(1);

/// The runtimes that were started here and not shut down.
static RUNNING: Mutex<Vec<Arc<Shared>>> = Mutex::new(Vec::new());

/// Has [`drain`] called before the interpreter ends.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    py.import("atexit")?.call_method1("register", (wrap_pyfunction!(drain, py)?,))?;
    Ok(())
}

pub(crate) fn remember(runtime: &Arc<Shared>) {
    running().push(runtime.clone());
}

pub(crate) fn forget(runtime: &Shared) {
    let gone = {
        let mut running = running();
        let index = running.iter().position(|known| std::ptr::eq(&**known, runtime));
        index.map(|index| running.swap_remove(index))
    };
    drop(gone);
}

/// Threads for chores of a runtime that is running, the newest.
pub(crate) fn running_chores() -> Option<Arc<Crew>> {
    running().last().map(|runtime| runtime.chores.clone())
}

/// All runtimes at once, so that many which are frozen cost no more time than one.
#[pyfunction]
fn drain(py: Python<'_>) {
    let runtimes = std::mem::take(&mut *running());
    py.detach(|| {
        thread::scope(|scope| {
            for runtime in &runtimes {
                let end = thread::Builder::new().spawn_scoped(scope, || runtime.finish(DRAIN));
                if end.is_err() {
                    runtime.finish(DRAIN); // No thread is to be had.
                }
            }
        });
    });
}

/// The list of runtimes, for who forks.
pub(crate) type Held = MutexGuard<'static, Vec<Arc<Shared>>>;

pub(crate) fn hold() -> Held {
    running()
}

fn running() -> MutexGuard<'static, Vec<Arc<Shared>>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
