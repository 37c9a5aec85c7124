//! The threads on which handlers run: lanes, each with one thread at a time, and beside them the pool
//! for handlers that block.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use myrmidon::scheduler::AroundThread;
use pyo3::intern;
use pyo3::prelude::*;

use crate::known;
use crate::lane::Crew;

/// The lanes of one runtime, at least one. An actor stays on its lane.
pub(crate) struct Lanes {
    crews: Vec<Arc<Crew>>,
    /// Actors dealt out so far.
    dealt: AtomicUsize,
}

impl Lanes {
    /// # Errors
    /// If the system has no room for the threads.
    pub(crate) fn start(core: &myrmidon::Runtime, count: usize) -> std::io::Result<Self> {
        let name = |number| if count == 1 { "python".to_owned() } else { format!("python-{number}") };
        let start = |number| Crew::start(core.open_lane(&name(number)));
        Ok(Self { crews: (0..count).map(start).collect::<Result<_, _>>()?, dealt: AtomicUsize::new(0) })
    }

    /// The number of the lane for the next actor: they take turns.
    pub(crate) fn deal(&self) -> u32 {
        let turn = match self.crews.as_slice() {
            [_] => 0,
            crews => self.dealt.fetch_add(1, Ordering::Relaxed) % crews.len(),
        };
        self.crews[turn].lane().id()
    }

    /// The lane that `rt.run()` drives.
    pub(crate) fn first(&self) -> &Arc<Crew> {
        &self.crews[0]
    }

    /// The crew of the lane with this number, if it is one of these.
    pub(crate) fn crew(&self, lane: u32) -> Option<&Arc<Crew>> {
        self.crews.iter().find(|crew| crew.lane().id() == lane)
    }

    /// As [`Crew::close`], for all.
    pub(crate) fn close(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        for crew in &self.crews {
            crew.close(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// How many lanes a runtime has unless told otherwise: with a global lock, a second one would only wait.
pub(crate) fn usual_count(py: Python<'_>) -> PyResult<usize> {
    let sys = py.import(intern!(py, "sys"))?;
    let locked = match sys.getattr_opt(intern!(py, "_is_gil_enabled"))? {
        Some(is_enabled) => is_enabled.call0()?.is_truthy()?,
        None => true,
    };
    Ok(if locked { 1 } else { available_parallelism().map_or(1, usize::from) })
}

/// Has threads that block keep one interpreter state from beginning to end, as `threading.local` and
/// debuggers expect.
pub(crate) fn around_blocking_threads() -> AroundThread {
    // At the end of the interpreter nothing is done around them, and no handler is called.
    Arc::new(|serve| {
        Python::try_attach(|py| {
            begin_thread(py);
            py.detach(serve);
        });
    })
}

/// The first that a thread of ours does which runs code of actors: who traces the threads of `threading` traces it too.
pub(crate) fn begin_thread(py: Python<'_>) {
    if let Err(error) = known::BEGIN_THREAD.get(py).and_then(|begin| begin.call0()) {
        error.write_unraisable(py, None);
    }
}
