//! A runtime for tests: its actors run on the thread of the test, in an order and with a time that a seed
//! decides.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use myrmidon::Sim;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::call::without_argument;
use crate::errors::StartError;
use crate::logging;
use crate::runtime::Shared;
use crate::wait::period;

thread_local! {
    /// The simulated runtimes of this thread, the newest last.
    static HERE: RefCell<Vec<Arc<Shared>>> = const { RefCell::new(Vec::new()) };
}

/// See `myrmidon.testing.Simulation`.
#[pyclass(unsendable, module = "myrmidon._core")]
pub(crate) struct Simulation {
    sim: RefCell<Sim>,
    shared: Arc<Shared>,
}

#[pymethods]
impl Simulation {
    #[new]
    fn new(seed: u64) -> PyResult<Self> {
        let desk = logging::Desk::default();
        let listener = logging::reporter(desk.clone());
        let sim = Sim::builder()
            .seed(seed)
            .configure(move |builder| builder.on_event(listener.clone()))
            .start()
            .map_err(|error| StartError::new_err(error.to_string()))?;
        let shared = Shared::simulated(sim.runtime().clone(), &desk)?;
        HERE.with_borrow_mut(|here| here.push(shared.clone()));
        Ok(Self { sim: RefCell::new(sim), shared })
    }

    fn step(&self) -> PyResult<bool> {
        self.with(Sim::step)
    }

    fn run(&self) -> PyResult<()> {
        self.with(Sim::run)
    }

    fn advance(&self, time: f64) -> PyResult<()> {
        let time = period("time", time)?;
        self.with(|sim| sim.run_for(time))
    }

    /// Runs until `condition()` is true, at most `within` simulated seconds; whether it is.
    fn run_until(&self, condition: &Bound<'_, PyAny>, within: f64) -> PyResult<bool> {
        let (within, mut failed) = (period("within", within)?, None);
        let done = self.with(|sim| {
            sim.run_until(within, || match without_argument(condition).and_then(|value| value.is_truthy()) {
                Ok(done) => done,
                Err(error) => {
                    failed = Some(error);
                    true
                }
            })
        })?;
        failed.map_or(Ok(done), Err)
    }

    #[getter]
    fn seed(&self) -> PyResult<u64> {
        self.with(|sim| sim.seed())
    }

    #[getter]
    fn elapsed(&self) -> PyResult<f64> {
        self.with(|sim| sim.elapsed().as_secs_f64())
    }

    fn trace(&self) -> PyResult<String> {
        self.with(|sim| sim.trace().to_string())
    }

    /// Ends the actors that are left.
    fn close(&self, py: Python<'_>) {
        HERE.with_borrow_mut(|here| here.retain(|shared| !Arc::ptr_eq(shared, &self.shared)));
        let shared = self.shared.clone();
        py.detach(|| shared.finish(Duration::ZERO));
    }
}

impl Simulation {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn with<T>(&self, call: impl FnOnce(&mut Sim) -> T) -> PyResult<T> {
        let mut sim = self.sim.try_borrow_mut().map_err(|_| {
            PyRuntimeError::new_err(
                "a simulation cannot be run by one of its own actors: return from the handler",
            )
        })?;
        Ok(call(&mut sim))
    }
}

/// Whether actors are simulated on this thread.
pub(crate) fn is_here() -> bool {
    HERE.with_borrow(|here| !here.is_empty())
}

/// Runs the simulated actors of this thread until `step` gives a value, or their time is over (`Some(None)`).
/// `None` if there are none, or nothing can happen any more: what is waited for is elsewhere.
pub(crate) fn wait_for<T>(
    timeout: Option<Duration>,
    step: &mut impl FnMut(Option<Duration>) -> Option<T>,
) -> Option<Option<T>> {
    let shared = HERE.with_borrow(|here| here.last().cloned())?;
    let core = shared.core();
    let (began, mut value) = (core.clock().now(), None);
    core.drive_until(timeout, || {
        value = value.take().or_else(|| step(Some(Duration::ZERO)));
        value.is_some()
    });
    let late = timeout.is_some_and(|timeout| core.clock().now() - began >= timeout);
    if value.is_some() || late { Some(value) } else { None }
}
