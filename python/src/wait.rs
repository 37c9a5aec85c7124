//! Waiting with the interpreter let go.

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use myrmidon::scheduler::step_aside;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::errors::Busy;
use crate::known;
use tokio::runtime::Handle;

use crate::{lane, simulation};

/// The longest time that the main thread does not look for signals.
const SLICE: Duration = Duration::from_millis(50);

/// Waits for what actors of `core` do: until `step` gives a value or `timeout` is over (`None`). If they are simulated
/// on this thread it runs them meanwhile, and the time is theirs.
///
/// # Errors
/// As [`block`], and `StepLimit`.
pub(crate) fn wait_for<T: Send>(
    py: Python<'_>,
    core: &myrmidon::Runtime,
    timeout: Option<Duration>,
    mut step: impl FnMut(Option<Duration>) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    match simulation::wait_for(py, core, timeout, &mut step)? {
        Some(value) => Ok(value),
        None => block(py, timeout, step),
    }
}

/// Blocks until `step` gives a value or `timeout` is over (`None`).
///
/// `step` gets the time it may block, without a limit on threads that no signal reaches. The
/// calling handler, if it is one, makes way for other actors meanwhile (D6), also on a thread for blocking work.
///
/// # Errors
/// What a signal handler raises: `KeyboardInterrupt`. `Busy` if too many handlers wait.
pub(crate) fn block<T: Send>(
    py: Python<'_>,
    timeout: Option<Duration>,
    mut step: impl FnMut(Option<Duration>) -> Option<T> + Send,
) -> PyResult<Option<T>> {
    lane::make_way()?;
    let _aside = step_aside().map_err(|crowded| {
        let text =
            format!("{} blocking handlers wait for others already: let fewer actors do so", crowded.aside);
        Busy::new_err(text)
    })?;
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let slice = signal_slice(py)?;
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let pause = slice.into_iter().chain(left).min();
        if let Some(value) = py.detach(|| step(pause)) {
            return Ok(Some(value));
        }
        py.check_signals()?;
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(None);
        }
    }
}

/// Runs `future` on `io` and waits for its result. The future is given up when a signal handler
/// raises. It must end by itself, by a deadline of its own.
pub(crate) fn block_on<F>(py: Python<'_>, io: &Handle, future: F) -> PyResult<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let (done, result) = sync_channel(1);
    let task = io.spawn(async move { drop(done.send(future.await)) });
    let received = block(py, None, receive(result));
    task.abort();
    match received? {
        Some(Some(value)) => Ok(value),
        _ => Err(crate::errors::closed_meanwhile()),
    }
}

/// Steps for [`wait_for`] and [`block`] that wait for what arrives; it gives `None` once the sender is gone.
pub(crate) fn receive<T: Send>(
    channel: Receiver<T>,
) -> impl FnMut(Option<Duration>) -> Option<Option<T>> + Send {
    move |limit| match limit {
        None => Some(channel.recv().ok()),
        Some(limit) => match channel.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => None,
            received => Some(received.ok()),
        },
    }
}

/// How long this thread may block at a time: only the main thread gets signals.
pub(crate) fn signal_slice(py: Python<'_>) -> PyResult<Option<Duration>> {
    Ok(is_main_thread(py)?.then_some(SLICE))
}

/// Reads a duration given in seconds; infinity is `None`.
///
/// # Errors
/// `ValueError` for negative numbers and NaN.
pub(crate) fn seconds(name: &str, seconds: f64) -> PyResult<Option<Duration>> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!("{name} is in seconds and not negative, not {seconds:?}")));
    }
    // A thousand years is more than the clock's arithmetic needs.
    Ok((seconds < 3e10).then(|| Duration::from_secs_f64(seconds)))
}

/// Reads a timeout, which may be `None`.
///
/// # Errors
/// As [`seconds`].
pub(crate) fn limit(timeout: Option<f64>) -> PyResult<Option<Duration>> {
    Ok(timeout.map(|timeout| seconds("timeout", timeout)).transpose()?.flatten())
}

/// Reads a duration that is finite.
///
/// # Errors
/// As [`seconds`], and for infinity.
pub(crate) fn period(name: &str, given: f64) -> PyResult<Duration> {
    seconds(name, given)?.ok_or_else(|| PyValueError::new_err(format!("{name} must be finite")))
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let main = known::MAIN_THREAD.get(py)?.call0()?;
    let current = known::GET_IDENT.get(py)?.call0()?;
    main.getattr(pyo3::intern!(py, "ident"))?.eq(current)
}
