//! Asking: a message that carries the way back for the answer, which is what the handler returns.
//!
//! An ask has exactly one outcome (G5): whichever of answer, exception, end of the actor, dropped question
//! and deadline comes first. What comes later is dropped, and never turns up as a message.

mod answer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::actor::{LateReplies, Request};
use myrmidon::error::SendError;
use myrmidon::mailbox::{IntoBytes, Payload, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

pub(crate) use answer::Answer;
use answer::Way;

use crate::actors::living;
use crate::current::current_actor;
use crate::errors::{Busy, NoProcess, OwnActor};
use crate::handler_task::may_serve_here;
use crate::lane::Crew;
use crate::loop_bell::{Bell, Young};
use crate::number::Id;
use crate::outcome::{Lost, Outcome};
use crate::payload;
use crate::promise::Promise;
use crate::runtime::Runtime;
use crate::seat::Seat;
use crate::wait::{limit, wait_for};

#[pymethods]
impl Runtime {
    /// Asks an actor, also one of another node (`remote`), and waits for its answer, at most `timeout` seconds; without a limit if that is
    /// `None`. In a handler, other actors run meanwhile.
    ///
    /// The answer is what the handler returns: `bytes` or another buffer of bytes, empty for `None`. What
    /// the handler raises is raised here, the same exception, and ends the actor; from another node it comes
    /// as `RemoteActorError`.
    ///
    /// Raises `NoProcess` if the actor is dead, `ActorEnded` if it ends before it answers, `NoReply` if the
    /// question is dropped, `AskTimeout`, `Busy` if the actor's mailbox is full or it runs in the event loop
    /// of this very thread, and `OwnActor` for an actor that asks itself; for an actor of another node also
    /// `NodeDown`, if the connection is lost, `PayloadTooLarge`, and `Busy` if there was no room on the way for as long
    /// as a `send` would wait. A question whose time is up is not handled any more.
    #[pyo3(signature = (pid, data, timeout=5.0))]
    fn ask_sync(
        &self,
        py: Python<'_>,
        pid: Id,
        data: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Py<PyAny>> {
        let (asked, limit) = (living(pid)?, limit(timeout)?);
        let message = self.checked(asked, data)?;
        if Bell::running(py)?.is_some_and(|bell| bell.runs(self.shared(), asked)) {
            return Err(holds_own_loop(asked, "await rt.ask()"));
        }
        let seat = Arc::new(Seat::default());
        let question = self
            .question(asked, message, deadline(limit), Way::Thread(seat.clone()))
            .inspect_err(|_| payload::give_back(data))?;
        let lane = self.lane(asked);
        let mut question = Some(question);
        let place = self.shared().waiters.enter(asked, &seat);
        // Sent with the interpreter let go, as who answers will want it.
        let waited = wait_for(py, self.shared().core(), limit, |limit| {
            if let Some(question) = question.take() {
                if let Err(error) = question.send(self.shared().core()) {
                    return Some(Err(error));
                }
                if let Some(lane) = lane
                    && limit != Some(Duration::ZERO)
                {
                    lane.watch(|| seat.is_given());
                }
            }
            seat.wait(limit).map(Ok)
        });
        drop(place);
        if question.is_some() || matches!(waited, Ok(Some(Err(_)))) {
            payload::give_back(data);
        }
        let left = seat.leave();
        let outcome = waited?
            .transpose()
            .map_err(|error| unasked(asked, error))?
            .or(left)
            .unwrap_or(Outcome::Lost(asked, Lost::Late));
        outcome.into_result(py)
    }
}

impl Runtime {
    /// Asks an actor on behalf of the running loop.
    ///
    /// # Errors
    /// Where the question cannot be put, and what the handler raised, if that is there at once.
    pub(crate) fn ask_for_loop<'py>(
        &self,
        py: Python<'py>,
        pid: Id,
        data: &Bound<'py, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Asked<'py>> {
        let (asked, limit) = (living(pid)?, limit(timeout)?);
        if self.shared().simulated {
            return Err(PyTypeError::new_err(
                "rt.ask waits in an event loop, whose time no simulation decides: use ask_sync, which runs the actors meanwhile",
            ));
        }
        let bell = Bell::of_running(py)?;
        let message = self.checked(asked, data)?;
        let begun = Instant::now();
        let deadline = limit.and_then(|limit| begun.checked_add(limit));
        let alone = bell.patience().begin();
        let promise = Promise::of_ask(py, bell.clone()).inspect_err(|_| payload::give_back(data))?;
        let question = self
            .question(asked, message, deadline, Way::Loop(promise.clone().unbind()))
            .inspect_err(|_| payload::give_back(data))?;
        let core = self.shared().core();
        let lane = self.lane(asked);
        let mut lingers = false;
        if let Some(lane) = lane
            && alone
            && limit != Some(Duration::ZERO)
        {
            // Sent with the interpreter let go, as who answers will want it.
            let looked_for = promise.get();
            let given = py.detach(|| question.send(core).map(|()| lane.watch(|| looked_for.is_done())));
            let given = given.map_err(|error| {
                payload::give_back(data);
                unasked(asked, error)
            })?;
            // It may have come since the last look.
            if given || !promise.get().wait() {
                return Self::answered(promise, &bell, begun);
            }
        } else if lane.is_none() && question.is_here() && may_serve_here(py) {
            let sent = bell.served_here(py, asked, || question.send_here(core))?;
            sent.map_err(|error| {
                payload::give_back(data);
                unasked(asked, error)
            })?;
            if promise.get().is_done() || !promise.get().wait() {
                return Self::answered(promise, &bell, begun);
            }
            bell.linger(py, None)?;
            lingers = true;
        } else {
            promise.get().wait();
            if question.is_here() {
                bell.linger(py, lane).inspect_err(|_| payload::give_back(data))?;
                lingers = true;
            }
            question.send_here(core).map_err(|error| {
                payload::give_back(data);
                unasked(asked, error)
            })?;
        }
        if lingers {
            let runtime = self.shared().clone();
            bell.grow(Young { promise: promise.clone().unbind(), asked, deadline, runtime });
        } else {
            self.shared().waiters.watch(asked, &promise, deadline)?;
        }
        Ok(Asked::Promised(promise))
    }

    /// What comes of an ask that began at `begun` and was answered on the spot: others of the loop may be due.
    fn answered<'py>(promise: Bound<'py, Promise>, bell: &Bell, begun: Instant) -> PyResult<Asked<'py>> {
        promise.get().count_out();
        if !bell.patience().is_over(begun) {
            return promise.get().take(promise.py()).map(Asked::Answered);
        }
        promise.get().be_polite();
        Ok(Asked::Promised(promise))
    }

    /// What `asked` is to be asked, before anybody waits for an answer.
    fn checked<'py>(&self, asked: Pid, data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let core = self.core()?;
        if current_actor(data.py())? == Some(asked) {
            return Err(OwnActor::new_err(format!(
                "actor {asked} cannot wait for an answer of its own: call the function instead"
            )));
        }
        if payload::is_wasted(data, core, Some(asked)) {
            return Err(nobody(asked));
        }
        payload::frozen(data)
    }

    fn question(
        &self,
        asked: Pid,
        message: Bound<'_, PyBytes>,
        deadline: Option<Instant>,
        way: Way,
    ) -> PyResult<Unsent> {
        let core = self.core()?;
        let late = core.late_reply_counter();
        if core.is_remote(asked) {
            return Ok(Unsent::Afar { asked, message: payload::remote(&message)?, deadline, way, late });
        }
        let answer = Answer::new(way, asked, deadline, late);
        Ok(Unsent::Here { asked, question: Question { message: payload::wrap(message), answer } })
    }

    /// The lane whose driver will answer, if `asked` is on one.
    fn lane(&self, asked: Pid) -> Option<&Arc<Crew>> {
        let lane = self.shared().core().lane_of(asked)?;
        self.shared().actors.crew(lane)
    }
}

/// What comes of an ask of a loop at once.
pub(crate) enum Asked<'py> {
    Answered(Py<PyAny>),
    /// To be awaited.
    Promised(Bound<'py, Promise>),
}

/// A question before it is sent.
enum Unsent {
    Here { asked: Pid, question: Question },
    Afar { asked: Pid, message: Bytes, deadline: Option<Instant>, way: Way, late: LateReplies },
}

impl Unsent {
    /// Whether an actor of this node is asked.
    fn is_here(&self) -> bool {
        matches!(self, Self::Here { .. })
    }

    /// As [`send`](Self::send). An actor whose code runs elsewhere is called on this thread to pass the question on to it.
    fn send_here(self, core: &myrmidon::Runtime) -> Result<(), SendError<Payload>> {
        match self {
            Self::Here { asked, question } if !core.is_driven_here() => {
                core.send_here(asked, Payload::Value(Value::with_bytes(question)))
            }
            other => other.send(core),
        }
    }

    /// Needs no interpreter.
    fn send(self, core: &myrmidon::Runtime) -> Result<(), SendError<Payload>> {
        match self {
            Self::Here { asked, question } => core.send(asked, Payload::Value(Value::with_bytes(question))),
            Self::Afar { asked, message, deadline, way, late } => {
                core.ask_then(asked, message, deadline, move |found| {
                    let answered = found.is_ok();
                    if !way.send(Outcome::from_afar(asked, found)) && answered {
                        late.count();
                    }
                });
                Ok(())
            }
        }
    }
}

/// The error of who would wait for an actor that runs in the loop of this very thread.
pub(crate) fn holds_own_loop(pid: Pid, instead: &str) -> PyErr {
    Busy::new_err(format!(
        "actor {pid} runs in the event loop of this thread, which cannot go on while this call waits: {instead}"
    ))
}

/// The error of who asked where the question was not sent.
fn unasked(asked: Pid, error: SendError<Payload>) -> PyErr {
    let raised = match error {
        SendError::Full { .. } => {
            Busy::new_err(format!("the mailbox of actor {asked} is full: ask again later"))
        }
        _ => nobody(asked),
    };
    // Nobody waits for an answer, so nobody is to be told that there is none.
    if let Ok(question) = question(error.into_message()) {
        question.answer.forget();
    }
    raised
}

/// A message with the way back.
pub(crate) struct Question {
    pub(crate) message: Payload,
    pub(crate) answer: Answer,
}

impl IntoBytes for Question {
    /// For who takes bytes and gives no answers: who asked is told so.
    fn into_bytes(self) -> Bytes {
        self.message.into_bytes().unwrap_or_default()
    }
}

/// The question in a payload, or the payload back.
#[inline]
pub(crate) fn question(payload: Payload) -> Result<Question, Payload> {
    match payload {
        Payload::Value(value) if value.is::<Question>() => value.downcast().map_err(Payload::Value),
        Payload::Value(value) if value.is::<Request>() => foreign(value),
        other => Err(other),
    }
}

/// A question that was not asked from Python.
fn foreign(value: Value) -> Result<Question, Payload> {
    let request: Request = value.downcast().map_err(Payload::Value)?;
    let deadline = request.deadline();
    let (message, reply) = request.into_parts();
    let Some(reply) = reply else { return Err(message) };
    let (asked, late) = (reply.asked(), reply.late_reply_counter());
    let answer = Answer::new(Way::Reply(reply), asked, deadline, late);
    Ok(Question { message, answer })
}

fn nobody(asked: Pid) -> PyErr {
    NoProcess::new_err(format!(
        "no actor {asked} here: it has ended, or is of another runtime; look its name up again"
    ))
}

fn deadline(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| Instant::now().checked_add(limit))
}
