//! A runtime for tests: its actors run on the thread of the test, in an order and with a time that a seed
//! decides.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myrmidon::Sim;
use myrmidon::error::StepLimit as CoreStepLimit;
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;

use crate::call::without_argument;
use crate::errors::{StartError, StepLimit};
use crate::handler::take_interrupt;
use crate::logging;
use crate::number;
use crate::runtime::{Runtime, Shared};
use crate::wait::period;

thread_local! {
    /// The simulations that this thread made, by number.
    static MADE: RefCell<HashMap<u64, Rc<RefCell<Sim>>>> = RefCell::default();
}

/// The number of the last simulation.
static LAST: AtomicU64 = AtomicU64::new(0);
/// Simulations whose objects the garbage collector dropped on other threads than made them.
static DROPPED: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// See `myrmidon.testing.Simulation`. The simulation itself stays on its thread.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Simulation {
    number: u64,
    shared: Arc<Shared>,
}

#[pymethods]
impl Simulation {
    #[new]
    fn new(seed: u64, #[pyo3(from_py_with = number::step_limit)] step_limit: usize) -> PyResult<Self> {
        let desk = logging::Desk::new();
        let listener = logging::reporter(desk.clone());
        let sim = Sim::builder()
            .seed(seed)
            .step_limit(step_limit)
            .configure(move |builder| builder.on_event(listener.clone()))
            .start()
            .map_err(|error| StartError::new_err(error.to_string()))?;
        let shared = Shared::simulated(sim.runtime().clone(), &desk)?;
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        let mut gone = Vec::new();
        MADE.with_borrow_mut(|made| {
            made.insert(number, Rc::new(RefCell::new(sim)));
            dropped().retain(|number| match made.remove(number) {
                Some(sim) => {
                    gone.push(sim);
                    false
                }
                None => true,
            });
        });
        drop(gone); // Under no lock, as handlers may go with it.
        Ok(Self { number, shared })
    }

    fn step(&self) -> PyResult<bool> {
        self.with(Sim::try_step)?.map_err(spent)
    }

    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let mut ctrl_c = CtrlC::watch(py);
        let rested = self.with(|sim| {
            while !ctrl_c.came() && sim.try_step()? {}
            Ok(())
        })?;
        ctrl_c.raise()?;
        rested.map_err(spent)
    }

    fn advance(&self, py: Python<'_>, time: f64) -> PyResult<()> {
        let (time, mut ctrl_c) = (period("time", time)?, CtrlC::watch(py));
        let advanced = self.with(|sim| sim.try_run_until(time, || ctrl_c.came()))?;
        ctrl_c.raise()?;
        advanced.map(drop).map_err(spent)
    }

    /// Runs until `condition()` is true, at most `within` simulated seconds; whether it is.
    fn run_until(&self, py: Python<'_>, condition: &Bound<'_, PyAny>, within: f64) -> PyResult<bool> {
        let within = period("within", within)?;
        self.with(|sim| drive(py, condition, |done| sim.try_run_until(within, done)))?
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
        let shared = self.shared.clone();
        py.detach(|| shared.finish(Duration::ZERO));
    }
}

#[pymethods]
impl Runtime {
    /// In a simulation, on its thread: runs the actors until `condition()` is true, at most `within` simulated seconds;
    /// whether it is. `None` elsewhere, where they run by themselves.
    fn _drive_until(
        &self,
        py: Python<'_>,
        condition: &Bound<'_, PyAny>,
        within: f64,
    ) -> PyResult<Option<bool>> {
        let (core, within) = (self.core()?, period("within", within)?);
        if !core.is_driven_here() {
            return Ok(None);
        }
        drive(py, condition, |done| core.drive_until(Some(within), done))
    }
}

/// Has `until` run actors until `condition()` is true, or raises.
fn drive<T>(
    py: Python<'_>,
    condition: &Bound<'_, PyAny>,
    until: impl FnOnce(&mut dyn FnMut() -> bool) -> Result<T, CoreStepLimit>,
) -> PyResult<T> {
    let (mut ctrl_c, mut failed) = (CtrlC::watch(py), None);
    let mut is_true = || match without_argument(condition).and_then(|value| value.is_truthy()) {
        Ok(done) => done,
        Err(error) => {
            failed = Some(error);
            true
        }
    };
    let driven = until(&mut || ctrl_c.came() || is_true());
    ctrl_c.raise()?;
    failed.map_or_else(|| driven.map_err(spent), Err)
}

impl Simulation {
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn with<T>(&self, call: impl FnOnce(&mut Sim) -> T) -> PyResult<T> {
        let Some(sim) = MADE.with_borrow(|made| made.get(&self.number).cloned()) else {
            return Err(PyRuntimeError::new_err(
                "a simulation is run by the thread that made it: call it there",
            ));
        };
        let mut sim = sim.try_borrow_mut().map_err(|_| {
            PyRuntimeError::new_err(
                "a simulation cannot be run by one of its own actors: return from the handler",
            )
        })?;
        Ok(call(&mut sim))
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        let here = MADE.try_with(|made| made.borrow_mut().remove(&self.number));
        match here {
            // Its runtime may live on in somebody's hands, where nothing could run it any more.
            Ok(Some(_)) => Python::attach(|py| self.close(py)),
            _ => dropped().push(self.number),
        }
    }
}

/// What was dropped, for who forks.
pub(crate) type Held = MutexGuard<'static, Vec<u64>>;

pub(crate) fn hold() -> Held {
    dropped()
}

fn dropped() -> MutexGuard<'static, Vec<u64>> {
    DROPPED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ctrl-C while actors run on the thread of the test: in a handler, which it ends, or between two.
struct CtrlC<'py> {
    py: Python<'py>,
    error: Option<PyErr>,
}

impl<'py> CtrlC<'py> {
    fn watch(py: Python<'py>) -> Self {
        take_interrupt();
        Self { py, error: None }
    }

    fn came(&mut self) -> bool {
        if take_interrupt() {
            self.error = Some(PyKeyboardInterrupt::new_err(()));
        } else if let Err(error) = self.py.check_signals() {
            self.error = Some(error);
        }
        self.error.is_some()
    }

    fn raise(self) -> PyResult<()> {
        self.error.map_or(Ok(()), Err)
    }
}

/// Runs the actors of `core`, where they are simulated on this thread, until `step` gives a value or their time is
/// over (`Some(None)`). `None` if they are not, or nothing can happen any more: what is waited for is elsewhere.
///
/// # Errors
/// What a signal handler raises, and `StepLimit`.
pub(crate) fn wait_for<T>(
    py: Python<'_>,
    core: &myrmidon::Runtime,
    timeout: Option<Duration>,
    step: &mut impl FnMut(Option<Duration>) -> Option<T>,
) -> PyResult<Option<Option<T>>> {
    if !core.is_driven_here() {
        return Ok(None);
    }
    let mut ctrl_c = CtrlC::watch(py);
    let (began, mut value) = (core.clock().now(), None);
    let driven = core.drive_until(timeout, || {
        value = value.take().or_else(|| step(Some(Duration::ZERO)));
        value.is_some() || ctrl_c.came()
    });
    ctrl_c.raise()?;
    driven.map_err(spent)?;
    let late = timeout.is_some_and(|timeout| core.clock().now() - began >= timeout);
    Ok(if value.is_some() || late { Some(value) } else { None })
}

fn spent(limit: CoreStepLimit) -> PyErr {
    StepLimit::new_err(format!(
        "the simulation has taken its {} steps: make it with a higher step_limit, or look in sim.trace() for who never \
         rests",
        limit.0
    ))
}
