//! Functions and classes of Python that are looked up once, when the package is imported: not later on a thread
//! of ours, where a fork in the middle of it would leave the child a lock that nobody gives back.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// One of them.
pub(crate) struct Known {
    module: &'static str,
    name: &'static str,
    found: PyOnceLock<Py<PyAny>>,
}

pub(crate) static ACTOR: Known = Known::new("myrmidon.actor", "Actor");
pub(crate) static AWAITED: Known = Known::new("myrmidon._tasks", "awaited");
pub(crate) static BEGIN_THREAD: Known = Known::new("myrmidon._tasks", "begin_thread");
pub(crate) static COPY_CONTEXT: Known = Known::new("contextvars", "copy_context");
pub(crate) static COROUTINE: Known = Known::new("types", "CoroutineType");
pub(crate) static CURRENT_TASKS: Known = Known::new("myrmidon._tasks", "current_tasks");
pub(crate) static CURRENT: Known = Known::new("myrmidon._tasks", "current");
pub(crate) static DONE: Known = Known::new("myrmidon._tasks", "done");
pub(crate) static EVENT_LOOP: Known = Known::new("asyncio", "AbstractEventLoop");
pub(crate) static FORMAT_EXCEPTION: Known = Known::new("traceback", "format_exception");
pub(crate) static GET_IDENT: Known = Known::new("threading", "get_ident");
pub(crate) static GET_LOGGER: Known = Known::new("logging", "getLogger");
pub(crate) static IS_CANCELLED: Known = Known::new("myrmidon._tasks", "is_cancelled");
pub(crate) static IS_CTRL_C: Known = Known::new("myrmidon._tasks", "is_ctrl_c");
pub(crate) static MAIN_THREAD: Known = Known::new("threading", "main_thread");
pub(crate) static NEW_EVENT_LOOP: Known = Known::new("asyncio", "new_event_loop");
pub(crate) static PARTIAL: Known = Known::new("functools", "partial");
pub(crate) static RUNNING_LOOP: Known = Known::new("asyncio", "_get_running_loop");
pub(crate) static SERVE_LOOP: Known = Known::new("myrmidon._tasks", "serve_loop");
pub(crate) static START_FUNCTION: Known = Known::new("myrmidon._tasks", "start_function");
pub(crate) static START_HANDLER: Known = Known::new("myrmidon._tasks", "start_handler");
pub(crate) static SWAP_TASK: Known = Known::new("myrmidon._tasks", "swap_current_task");
pub(crate) static TASK: Known = Known::new("asyncio", "Task");
pub(crate) static WATCH_LOOP: Known = Known::new("myrmidon._tasks", "LoopWatch");

static ALL: [&Known; 24] = [
    &ACTOR,
    &AWAITED,
    &BEGIN_THREAD,
    &COPY_CONTEXT,
    &COROUTINE,
    &CURRENT,
    &CURRENT_TASKS,
    &DONE,
    &EVENT_LOOP,
    &FORMAT_EXCEPTION,
    &GET_IDENT,
    &GET_LOGGER,
    &IS_CANCELLED,
    &IS_CTRL_C,
    &MAIN_THREAD,
    &NEW_EVENT_LOOP,
    &PARTIAL,
    &RUNNING_LOOP,
    &SERVE_LOOP,
    &START_FUNCTION,
    &START_HANDLER,
    &SWAP_TASK,
    &TASK,
    &WATCH_LOOP,
];

/// Looks all of them up. The last thing that an import of the package does, as some are its own.
#[pyfunction]
pub(crate) fn load(py: Python<'_>) -> PyResult<()> {
    ALL.iter().try_for_each(|known| known.get(py).map(drop))
}

impl Known {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Self { module, name, found: PyOnceLock::new() }
    }

    #[inline]
    pub(crate) fn get<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyAny>> {
        self.found.import(py, self.module, self.name)
    }
}
