//! Asking: a message that carries the way back for its answer.
//!
//! The answer goes straight to who asked and never through a mailbox (S41). An ask has exactly one
//! outcome (G5): whichever of answer, end of the actor, dropped [`Reply`] and deadline comes first. An
//! answer that comes later is dropped and counted.

use std::cell::RefCell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::one_shot::{Receiver, Sender, one_shot};
use super::wait::wait;
use super::{ActorRef, ExitReason, System, current, waker};
use crate::error::SendError;
use crate::mailbox::Value;
use crate::pid::Pid;
use crate::wheel::{Alarm, Rang, nanos};

/// Why an ask got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The actor had ended before it was asked.
    #[error("actor {0} has ended; resolve its name again, or ask its supervisor's new child")]
    NoProcess(Pid),
    /// There is no room for the question: in the actor's bounded mailbox, or, where it lives on another
    /// node, on the way there.
    #[error(
        "the mailbox of actor {0}, or the queue to its node, is full: ask again later, or give the actor \
         more room when it is spawned"
    )]
    Full(Pid),
    /// The actor takes typed messages only, so that a question by PID cannot be read.
    #[error("actor {0} does not take bytes: ask by its typed reference, or give the actor a codec")]
    NotBytes(Pid),
    /// The actor takes nothing from peers that have not proved who they are, and this node has not
    /// ([`SpawnOptions::authenticated_only`](super::SpawnOptions::authenticated_only)).
    #[error(
        "actor {0} takes messages of nodes that prove who they are only: have both nodes use a transport with \
         certificates, TLS or QUIC"
    )]
    Untrusted(Pid),
    /// The actor ended before it answered.
    #[error("actor {pid} ended before it answered: {reason}")]
    Ended {
        /// Who was asked.
        pid: Pid,
        /// Why it ended.
        reason: ExitReason,
    },
    /// The actor dropped its [`Reply`] without using it, or its bounded mailbox dropped the question by its
    /// policy.
    #[error("actor {0} gave no answer: it dropped the question, or its full mailbox did")]
    NoReply(Pid),
    /// No answer within the time. The work may have been done nevertheless, or be done yet.
    #[error("actor {0} has not answered in time")]
    Timeout(Pid),
    /// An actor asked itself, and would have waited for its own handler.
    #[error("actor {0} cannot wait for an answer of its own; call the function instead")]
    OwnActor(Pid),
    /// The actor's node cannot be reached, or the connection broke before the answer. The work may have
    /// been done nevertheless, or be done yet.
    #[error("no connection to the node of actor {pid}: {reason}")]
    NoConnection {
        /// Who was asked.
        pid: Pid,
        /// What happened.
        reason: String,
    },
    /// The question or its answer has no byte form, or is longer than what the nodes take.
    #[error("the question to actor {pid}, or its answer, cannot travel: {reason}")]
    Unsendable {
        /// Who was asked.
        pid: Pid,
        /// What is wrong with it.
        reason: String,
    },
    /// The actor's node speaks a protocol without questions.
    #[error("the node of actor {0} cannot be asked: it speaks the documented framing only; send instead")]
    Unsupported(Pid),
    /// The actor's node refused, for a reason that this version does not know.
    #[error("the node of actor {pid} refused: {reason}")]
    Refused {
        /// Who was asked.
        pid: Pid,
        /// Its own words.
        reason: String,
    },
}

/// What comes back instead of an answer. No answer is of this type.
struct Failed(AskError);

/// The way back to who asked, carried by the message. Use it once, now or later, or from another actor;
/// a reply that is dropped tells who asked so.
#[must_use = "who asked waits for it"]
pub struct Reply<R> {
    back: Option<Sender>,
    /// Who was asked. A reply may be passed on, and the end of who has it then is not this one's.
    asked: Pid,
    /// Not the runtime of `asked` itself, for which all asks would count up and down in one place.
    late: LateReplies,
    answer: PhantomData<fn(R)>,
}

impl<R: Send + 'static> Reply<R> {
    /// Answers. Whether somebody still waited; if not, the answer is dropped and counted.
    pub fn send(self, answer: R) -> bool {
        self.finish(Value::new(answer))
    }
}

impl<R> Reply<R> {
    pub(super) fn new(back: Sender, asked: Pid, system: &System) -> Self {
        Self { back: Some(back), asked, late: LateReplies::of(system), answer: PhantomData }
    }

    /// Tells who asked that the actor ends for `reason` instead: [`AskError::Ended`]. An actor whose handler
    /// panics, or that ends with the reply still in its state, need not do so. Whether somebody still waited.
    pub fn fail(self, reason: ExitReason) -> bool {
        let pid = self.asked;
        self.finish(Value::new(Failed(AskError::Ended { pid, reason })))
    }

    /// Whether nobody waits any more, so that the work for the answer may be left out.
    pub fn is_abandoned(&self) -> bool {
        self.back.as_ref().is_none_or(Sender::is_closed)
    }

    /// What counts answers that come too late where the question was asked.
    pub fn late_reply_counter(&self) -> LateReplies {
        self.late
    }

    /// Who was asked.
    pub fn asked(&self) -> Pid {
        self.asked
    }

    /// Tells who asked why nobody answers; whether somebody still waited. It is no answer, and so none that
    /// comes too late.
    pub(crate) fn refuse(mut self, error: AskError) -> bool {
        self.back.take().is_some_and(|back| back.send(Value::new(Failed(error))).is_ok())
    }

    fn finish(mut self, outcome: Value) -> bool {
        let Some(back) = self.back.take() else { return false };
        let in_time = back.send(outcome).is_ok();
        if !in_time {
            self.late.count();
        }
        in_time
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        let Some(back) = self.back.take() else { return };
        let pid = self.asked;
        let error = ending(pid).map_or(AskError::NoReply(pid), |reason| AskError::Ended { pid, reason });
        let _ = back.send(Value::new(Failed(error)));
    }
}

impl<R> std::fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("abandoned", &self.is_abandoned()).finish()
    }
}

impl<M: Send + 'static> ActorRef<M> {
    /// Sends the message that `message` makes of the way back, and waits for the answer at most
    /// `within`, counted from when it begins to wait.
    ///
    /// Works inside and outside of tokio: the deadline is kept by the timers of the actor's runtime.
    /// Where that is shut down before the outcome is known, the actor counts as killed.
    ///
    /// # Errors
    /// [`AskError`] says which of the ways without an answer it was.
    pub async fn ask<R: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<R>) -> M,
        within: Duration,
    ) -> Result<R, AskError> {
        let answer = self.begin_ask(message)?;
        answered(self.system(), self.pid(), answer, within).await
    }

    /// As [`ask`](Self::ask), but blocks the thread. Inside a handler others take over its worker meanwhile,
    /// which costs a switch of threads: an [`AsyncActor`](super::AsyncActor) is better there.
    ///
    /// # Errors
    /// As `ask`.
    pub fn ask_blocking<R: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<R>) -> M,
        within: Duration,
    ) -> Result<R, AskError> {
        let answer = self.begin_ask(message)?;
        answered_blocking(self.system(), self.pid(), answer, within)
    }

    fn begin_ask<R: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<R>) -> M,
    ) -> Result<Receiver, AskError> {
        let asked = self.pid();
        if current() == Some(asked) {
            return Err(AskError::OwnActor(asked));
        }
        let (back, answer) = one_shot();
        let reply = Reply::new(back, asked, self.system());
        self.send(message(reply)).map_err(|error| unasked(asked, &error))?;
        Ok(answer)
    }
}

/// Waits for the outcome, at most so long from the first poll.
pub(super) async fn answered<R: Send + 'static>(
    system: &System,
    pid: Pid,
    mut answer: Receiver,
    within: Duration,
) -> Result<R, AskError> {
    let (wheels, mut alarm) = (system.wheels(), None);
    let early = poll_fn(|cx| {
        if let Poll::Ready(found) = answer.poll(cx) {
            return Poll::Ready(Ok(found));
        }
        let alarm = alarm.get_or_insert_with(|| {
            let (now, near) = (wheels.elapsed(), pid.index());
            let at = now + nanos(within);
            if waker::is_actors(cx.waker()) {
                Alarm::lasting(&**wheels, now, at, near)
            } else {
                Alarm::new(&**wheels, at, near)
            }
        });
        alarm.poll(cx).map(Err)
    })
    .await;
    match early {
        Ok(found) => outcome(pid, found),
        // An answer that came at the last moment is one.
        Err(rang) => match (answer.close(), rang) {
            (Some(found), _) => outcome(pid, Some(found)),
            (None, Rang::InTime) => Err(AskError::Timeout(pid)),
            (None, Rang::Closed) => Err(AskError::Ended { pid, reason: ExitReason::Killed }),
        },
    }
}

/// As [`answered`], on this thread.
pub(super) fn answered_blocking<R: Send + 'static>(
    system: &System,
    pid: Pid,
    mut answer: Receiver,
    within: Duration,
) -> Result<R, AskError> {
    match wait(Some(system), poll_fn(|cx| answer.poll(cx)), within) {
        Some(found) => outcome(pid, found),
        // An answer that came at the last moment is one.
        None => answer.close().map_or(Err(AskError::Timeout(pid)), |found| outcome(pid, Some(found))),
    }
}

/// What came back from `pid`.
pub(super) fn outcome<R: Send + 'static>(pid: Pid, found: Option<Value>) -> Result<R, AskError> {
    let found = found.ok_or(AskError::NoReply(pid))?;
    match found.downcast::<R>().map_err(Value::downcast::<Failed>) {
        Ok(answer) => Ok(answer),
        Err(Ok(Failed(error))) => Err(error),
        Err(Err(_)) => Err(AskError::NoReply(pid)),
    }
}

/// Why a question was not taken.
pub(super) fn unasked<M>(asked: Pid, error: &SendError<M>) -> AskError {
    match error {
        SendError::Full { pid, .. } => AskError::Full(*pid),
        SendError::NotBytes { pid, .. } => AskError::NotBytes(*pid),
        SendError::NoProcess { .. } => AskError::NoProcess(asked),
        SendError::NoConnection { pid, reason, .. } => {
            AskError::NoConnection { pid: *pid, reason: reason.to_string() }
        }
        SendError::TooLarge { pid, .. } => {
            AskError::Unsendable { pid: *pid, reason: "it is too long".to_owned() }
        }
    }
}

/// Counts answers that came too late for who asked in a runtime: for a language binding whose messages carry
/// ways back of its own. It does not keep the runtime.
#[derive(Clone, Copy, Debug)]
pub struct LateReplies(u32);

impl LateReplies {
    pub(crate) fn of(system: &System) -> Self {
        Self(system.runtime())
    }

    /// Counts one in [`Runtime::late_replies`](crate::Runtime::late_replies), if the runtime still runs.
    pub fn count(self) {
        if let Some(system) = waker::system(self.0) {
            system.count_late_reply();
        }
    }
}

thread_local! {
    /// The actor whose messages and state are dropped on this thread, and why it ends.
    static ENDING: RefCell<Option<(Pid, ExitReason)>> = const { RefCell::new(None) };
}

/// Why `pid` ends, where what it leaves behind is being dropped on this thread: for a language binding
/// whose messages carry ways back of its own, as a dropped [`Reply`] tells it to who asked.
pub fn ending(pid: Pid) -> Option<ExitReason> {
    if thread::panicking() && current() == Some(pid) {
        return Some(ExitReason::Panic("the handler panicked".to_owned()));
    }
    ENDING.with_borrow(|ending| {
        ending.as_ref().filter(|(ended, _)| *ended == pid).map(|(_, reason)| reason.clone())
    })
}

/// Says why an actor ends to each [`Reply`] of its own that is dropped on this thread while this lives.
pub(super) struct Ending(Option<(Pid, ExitReason)>);

impl Ending {
    pub(super) fn because(pid: Pid, reason: &ExitReason) -> Self {
        Self(ENDING.replace(Some((pid, reason.clone()))))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        ENDING.set(self.0.take());
    }
}
