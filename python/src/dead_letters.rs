//! Messages that nobody handled, counted and shown to who listens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use myrmidon::actor::{DeadLetter as Letter, DeadLetterReason as Reason, DeadLetterWatch as Watch};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::call::with_argument;
use crate::handler;
use crate::payload;
use crate::runtime::Runtime;

/// Letters of one watch that may wait to be shown, and the bytes of their messages; more are counted only.
const MOST: usize = 1024;
const MOST_BYTES: usize = 16 << 20;

const REASONS: [Reason; 5] =
    [Reason::NoProcess, Reason::Ended, Reason::Full, Reason::Displaced, Reason::Unreadable];

#[pymethods]
impl Runtime {
    /// How many messages were taken and nobody handled them, by reason: "noproc" (the actor had
    /// ended), "ended" (it ended while they waited), "full" and "displaced" (its bounded mailbox dropped
    /// them), "unreadable" (it takes other messages). Questions count too, though who asked is told.
    fn dead_letters(&self) -> PyResult<BTreeMap<&'static str, u64>> {
        let core = self.core()?;
        Ok(REASONS.into_iter().map(|reason| (name(reason), core.dead_letters_by(reason))).collect())
    }

    /// Calls `listener` with every later `DeadLetter`, soon after, on a thread of the runtime for listeners. While
    /// 1 024 letters or 16 MiB of messages wait to be shown, further ones are only counted.
    ///
    /// Returns the watch: it ends by its `close()`, at the end of a `with` block, or with its object.
    ///
    /// Raises `TypeError` if `listener` cannot be called, or is an `async def` or a generator, whose code a call does not run.
    fn on_dead_letter(&self, listener: Bound<'_, PyAny>) -> PyResult<DeadLetterWatch> {
        if !listener.is_callable() || handler::flags(&listener)? & handler::DEFERRED != 0 {
            return Err(PyTypeError::new_err(
                "a listener is a callable of one argument, the dead letter, and neither an async def nor a generator",
            ));
        }
        let listener = Arc::new(listener.unbind());
        let (crew, backlog) = (self.shared().listeners()?.clone(), Arc::new(Backlog::default()));
        let watch = self.core()?.on_dead_letter(move |letter| {
            let Some(place) = Place::take(&backlog, letter.message.as_ref().map_or(0, payload::size)) else {
                return;
            };
            let (letter, listener) = (Shown::of(letter), listener.clone());
            crew.lane().submit(Box::new(move || {
                letter.show(&listener);
                drop(place);
            }));
        });
        Ok(DeadLetterWatch(Mutex::new(Some(watch))))
    }
}

/// What waits to be shown to one listener.
#[derive(Default)]
struct Backlog {
    letters: AtomicUsize,
    bytes: AtomicUsize,
}

/// The place of one letter there until it was shown, or is dropped.
struct Place {
    backlog: Arc<Backlog>,
    bytes: usize,
}

impl Place {
    /// One message of any size finds a place where no other has one.
    fn take(backlog: &Arc<Backlog>, bytes: usize) -> Option<Self> {
        let letters = backlog.letters.fetch_add(1, Ordering::Relaxed);
        let before = backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        let place = Self { backlog: backlog.clone(), bytes };
        (letters < MOST && (before == 0 || before.saturating_add(bytes) <= MOST_BYTES)).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.backlog.letters.fetch_sub(1, Ordering::Relaxed);
        self.backlog.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A letter on its way to a listener.
struct Shown {
    target: u64,
    reason: &'static str,
    message: Option<Vec<u8>>,
}

impl Shown {
    fn of(letter: &Letter) -> Self {
        let message = letter.message.as_ref().and_then(payload::copy);
        Self { target: letter.target.as_u64(), reason: name(letter.reason), message }
    }

    fn show(self, listener: &Py<PyAny>) {
        Python::attach(|py| {
            let message = self.message.map(|message| PyBytes::new(py, &message).unbind());
            let letter = DeadLetter { target_pid: self.target, reason: self.reason, message };
            let shown = Bound::new(py, letter)
                .and_then(|letter| with_argument(listener.bind(py), letter.as_any()).map(drop));
            if let Err(error) = shown {
                error.write_unraisable(py, Some(listener.bind(py)));
            }
        });
    }
}

fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::NoProcess => "noproc",
        Reason::Ended => "ended",
        Reason::Full => "full",
        Reason::Displaced => "displaced",
        Reason::Unreadable => "unreadable",
        _ => "other",
    }
}

/// A message that nobody handled.
#[pyclass(frozen, get_all, module = "myrmidon")]
pub(crate) struct DeadLetter {
    /// For whom it was.
    target_pid: u64,
    /// Why it was not handled: "noproc", "ended", "full", "displaced" or "unreadable".
    reason: &'static str,
    /// The message; `None` where it was no bytes, or is gone.
    message: Option<Py<PyBytes>>,
}

#[pymethods]
impl DeadLetter {
    fn __repr__(&self, py: Python<'_>) -> String {
        let size = self.message.as_ref().map_or(0, |message| message.as_bytes(py).len());
        format!("<DeadLetter to {} {:?}, {size} bytes>", self.target_pid, self.reason)
    }
}

/// Shows dead letters to a listener until it is closed.
#[pyclass(frozen, module = "myrmidon")]
pub(crate) struct DeadLetterWatch(Mutex<Option<Watch>>);

#[pymethods]
impl DeadLetterWatch {
    /// Ends the watch. Letters that are on their way may still be shown.
    fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, _error: &Bound<'_, pyo3::types::PyTuple>) {
        self.close();
    }

    fn __repr__(&self) -> &'static str {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if open { "<DeadLetterWatch open>" } else { "<DeadLetterWatch closed>" }
    }
}
