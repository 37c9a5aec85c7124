//! The mailbox of a pull actor, as its function sees it.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use myrmidon::Pid;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyList;

use crate::code::Code;
use crate::errors::{MailboxClosed, Timeout};
use crate::loop_bell::Bell;
use crate::number;
use crate::outcome::Outcome;
use crate::promise::Promise;
use crate::reply::Reply;
use crate::shelf::{Found, Matcher, Taken};
use crate::wait::{block, seconds};

/// The messages of a pull actor whose function runs on a thread of its own.
///
/// Iterate over it, or take messages one by one with `recv`. It ends, and `recv` raises `MailboxClosed`,
/// when the actor is stopped and what was sent before is taken, or when it is killed.
#[pyclass(frozen, module = "myrmidon")]
pub(crate) struct Mailbox {
    code: Arc<Code>,
    last: Mutex<Last>,
}

/// A message, and the way back for its answer.
type WithReply = (Py<PyAny>, Option<Py<Reply>>);

/// The way back of the message taken last.
#[derive(Default)]
enum Last {
    /// Nobody asked.
    #[default]
    Nobody,
    /// By its number, until the code wants it.
    Asked(u64),
    Given(Py<Reply>),
}

#[pymethods]
impl Mailbox {
    /// The PID of the actor.
    #[getter]
    fn pid(&self) -> u64 {
        self.code.pid().map_or(0, Pid::as_u64)
    }

    /// The way back for the answer to the message received last; `None` if that was no question. If it is not taken
    /// before the next message is received, or waited for without a `timeout`, who asked gets `NoReply`.
    ///
    /// It is that of the message which any thread received last: where several do, use `recv_with_reply`.
    #[getter]
    fn reply(&self, py: Python<'_>) -> PyResult<Option<Py<Reply>>> {
        let last = mem::take(&mut *self.last());
        let reply = match last {
            Last::Nobody => return Ok(None),
            Last::Asked(number) => Py::new(py, Reply::new(self.code.shelf.clone(), number))?,
            Last::Given(reply) => reply,
        };
        *self.last() = Last::Given(reply.clone_ref(py));
        Ok(Some(reply))
    }

    /// Waits for the next message, at most `timeout` seconds, and returns it: `bytes`, or a
    /// `PySystemMessage`.
    ///
    /// Raises `Timeout`, and `MailboxClosed` when there will be no more.
    #[pyo3(signature = (timeout=None))]
    fn recv(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        self.receive(py, None, until(timeout)?)
    }

    /// Waits for a message, at most `timeout` seconds, and returns it with those that are there already, at
    /// most `limit` in all. One that is asked ends the list, so that `reply` belongs to the last.
    ///
    /// Raises as `recv`.
    #[pyo3(signature = (limit=100, timeout=None))]
    fn recv_many<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = number::limit)] limit: usize,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyList>> {
        if limit == 0 {
            return Err(PyValueError::new_err("limit is at least 1 message"));
        }
        let messages = PyList::new(py, [self.receive(py, None, until(timeout)?)?])?;
        self.take_more(py, &messages, limit)?;
        Ok(messages)
    }

    /// Waits for the oldest message that meets all conditions, at most `timeout` seconds, and returns it. The
    /// others stay where they are, in order.
    ///
    /// `predicate` is called with a message; `prefix` is what its bytes begin with; `kind` is "message" for
    /// what was sent, "ask" for what was asked, "system" for a `PySystemMessage`. The last two are looked at
    /// first and cost no call.
    ///
    /// Raises as `recv`, and what `predicate` raises.
    #[pyo3(signature = (predicate=None, *, prefix=None, kind=None, timeout=None))]
    fn select(
        &self,
        py: Python<'_>,
        predicate: Option<Py<PyAny>>,
        prefix: Option<PyBackedBytes>,
        kind: Option<&str>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let matcher = Matcher::new(py, predicate, prefix, kind)?;
        self.receive(py, Some(&matcher), until(timeout)?)
    }

    /// Waits for a message as `recv`, or as `select` where a condition is given, and returns it with the way back for its
    /// answer; that is `None` if it was no question. For code of which several threads receive: `reply` stays as it is.
    ///
    /// If the way back is dropped unused, who asked gets `NoReply`. Raises as `select`.
    #[pyo3(signature = (predicate=None, *, prefix=None, kind=None, timeout=None))]
    fn recv_with_reply(
        &self,
        py: Python<'_>,
        predicate: Option<Py<PyAny>>,
        prefix: Option<PyBackedBytes>,
        kind: Option<&str>,
        timeout: Option<f64>,
    ) -> PyResult<WithReply> {
        let all = predicate.is_none() && prefix.is_none() && kind.is_none();
        let matcher = if all { None } else { Some(Matcher::new(py, predicate, prefix, kind)?) };
        let taken = self.wait_for_next(py, matcher.as_ref(), until(timeout)?, || ())?;
        self.with_reply(py, taken)
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.receive(py, None, None) {
            Err(error) if error.is_instance_of::<MailboxClosed>(py) => Ok(None),
            received => received.map(Some),
        }
    }

    /// How many messages the actor has given to its function that were not received, at most 64 and those
    /// set aside by `select`. What waits behind them is counted by `mailbox_size`.
    fn __len__(&self) -> usize {
        self.code.shelf.len()
    }

    /// A mailbox is true, also when it is empty.
    fn __bool__(&self) -> bool {
        true
    }

    fn __repr__(&self) -> String {
        format!("<myrmidon.Mailbox of actor {}, {} messages>", self.pid(), self.__len__())
    }

    /// The next message if there is one, else `None`. Raises `MailboxClosed`.
    #[pyo3(signature = (matcher=None))]
    fn _take(&self, py: Python<'_>, matcher: Option<&Bound<'_, Matcher>>) -> PyResult<Option<Py<PyAny>>> {
        let taken = self.take(py, matcher.map(Bound::get))?;
        Ok(taken.map(|taken| self.remember(taken)))
    }

    /// As `_take`, with the way back, and `reply` stays as it is.
    #[pyo3(signature = (matcher=None))]
    fn _take_with_reply(
        &self,
        py: Python<'_>,
        matcher: Option<&Bound<'_, Matcher>>,
    ) -> PyResult<Option<WithReply>> {
        let taken = self.take(py, matcher.map(Bound::get))?;
        taken.map(|taken| self.with_reply(py, taken)).transpose()
    }

    /// The next message is waited for however long it takes: who asked the last one is told if nobody took its way back.
    fn _forget_reply(&self) {
        self.keep(Last::Nobody);
    }

    /// Adds messages that are there to a list, until that has so many.
    fn _take_more(&self, py: Python<'_>, messages: &Bound<'_, PyList>, limit: usize) -> PyResult<()> {
        self.take_more(py, messages, limit)
    }

    /// Something to await in the running loop that is done when it is worth to look again. It raises `Timeout`.
    fn _wait<'py>(
        &self,
        py: Python<'py>,
        matcher: Option<&Bound<'py, Matcher>>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, Promise>> {
        let promise = Promise::new(py, Bell::of_running(py)?)?;
        if let Some(at) = until(timeout)? {
            Promise::wait_until(&promise, at, Outcome::Later(Box::new(|_| Err(too_late()))))?;
        }
        self.code.shelf.notify(promise.clone().unbind(), matcher.map(Bound::get));
        Ok(promise)
    }

    /// Takes a `_wait` back that ended in another way.
    fn _withdraw(&self, promise: Py<Promise>) {
        self.code.shelf.withdraw(&promise);
    }

    /// The function has come to its end; `error` is what it raised.
    #[pyo3(signature = (error=None))]
    fn _returned(&self, py: Python<'_>, error: Option<Bound<'_, PyAny>>) {
        self.code.returned(py, error.map(PyErr::from_value));
    }

    /// The loop goes down, and the function with it.
    fn _cancelled(&self) {
        self.code.cancelled();
    }
}

impl Mailbox {
    pub(crate) fn new(code: Arc<Code>) -> Self {
        Self { code, last: Mutex::default() }
    }

    fn receive(
        &self,
        py: Python<'_>,
        matcher: Option<&Matcher>,
        deadline: Option<Instant>,
    ) -> PyResult<Py<PyAny>> {
        let endless = deadline.is_none();
        // A wait that may end without a message leaves the last one answerable.
        let taken = self.wait_for_next(py, matcher, deadline, || {
            if endless {
                self.keep(Last::Nobody);
            }
        })?;
        Ok(self.remember(taken))
    }

    /// `before` is called before it waits, if it has to.
    fn wait_for_next(
        &self,
        py: Python<'_>,
        matcher: Option<&Matcher>,
        deadline: Option<Instant>,
        before: impl Fn(),
    ) -> PyResult<Taken> {
        loop {
            if let Some(taken) = self.take(py, matcher)? {
                return Ok(taken);
            }
            before();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let shelf = &self.code.shelf;
            if block(py, left, |limit| shelf.wait(matcher, limit))?.is_none() {
                return Err(too_late());
            }
        }
    }

    fn take(&self, py: Python<'_>, matcher: Option<&Matcher>) -> PyResult<Option<Taken>> {
        match self.code.shelf.take(py, matcher)? {
            Found::Item(taken) => Ok(Some(taken)),
            Found::Nothing => Ok(None),
            Found::Over => Err(MailboxClosed::new_err(format!(
                "the mailbox of actor {} is closed: the actor was stopped, killed or swapped; let the \
                 function return",
                self.pid()
            ))),
        }
    }

    fn take_more(&self, py: Python<'_>, messages: &Bound<'_, PyList>, limit: usize) -> PyResult<()> {
        while messages.len() < limit && matches!(*self.last(), Last::Nobody) {
            match self.code.shelf.take(py, None)? {
                Found::Item(taken) => messages.append(self.remember(taken))?,
                Found::Nothing | Found::Over => break,
            }
        }
        Ok(())
    }

    /// The message, whose way back is from now on `reply`.
    fn remember(&self, (message, asked): Taken) -> Py<PyAny> {
        self.keep(asked.map_or(Last::Nobody, Last::Asked));
        message
    }

    /// Keeps a way back. Who asked before, if that way back was not taken, is told that there is no answer.
    fn keep(&self, last: Last) {
        let before = mem::replace(&mut *self.last(), last);
        match before {
            Last::Asked(number) => self.code.shelf.drop_answer(number),
            other => drop(other),
        }
    }

    fn with_reply(&self, py: Python<'_>, (message, asked): Taken) -> PyResult<WithReply> {
        let reply = asked.map(|number| Py::new(py, Reply::new(self.code.shelf.clone(), number)));
        Ok((message, reply.transpose()?))
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_late() -> PyErr {
    Timeout::new_err("no message has come in time: wait longer, or look who should have sent one")
}

fn until(timeout: Option<f64>) -> PyResult<Option<Instant>> {
    let limit: Option<Duration> = timeout.map(|timeout| seconds("timeout", timeout)).transpose()?.flatten();
    Ok(limit.and_then(|limit| Instant::now().checked_add(limit)))
}
