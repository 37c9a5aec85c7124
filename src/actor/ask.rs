//! Asking: a message that carries the way back for its answer.
//!
//! The answer goes straight to who asked and never through a mailbox (S41). An ask has exactly one
//! outcome (G5): whichever of answer, end of the actor, dropped [`Reply`] and deadline comes first. An
//! answer that comes later is dropped and counted.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{ActorRef, ExitReason, System, current};
use crate::pid::Pid;

/// Why an ask got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The actor had ended before it was asked.
    #[error("actor {0} has ended; resolve its name again, or ask its supervisor's new child")]
    NoProcess(Pid),
    /// The actor ended before it answered.
    #[error("actor {pid} ended before it answered: {reason}")]
    Ended {
        /// Who was asked.
        pid: Pid,
        /// Why it ended.
        reason: ExitReason,
    },
    /// The actor dropped its [`Reply`] without using it.
    #[error("actor {0} handled the message and gave no answer")]
    NoReply(Pid),
    /// No answer within the time. The work may have been done nevertheless, or be done yet.
    #[error("actor {0} has not answered in time")]
    Timeout(Pid),
    /// An actor asked itself, and would have waited for its own handler.
    #[error("actor {0} cannot wait for an answer of its own; call the function instead")]
    OwnActor(Pid),
}

type Outcome<R> = Result<R, Lost>;

/// Why a [`Reply`] was not used.
enum Lost {
    Ended(ExitReason),
    Dropped,
}

/// The way back to who asked, carried by the message. Use it once, now or later, or from another actor;
/// a reply that is dropped tells who asked so.
#[must_use = "who asked waits for it"]
pub struct Reply<R> {
    back: Option<oneshot::Sender<Outcome<R>>>,
    /// Who was asked. A reply may be passed on, and the end of who has it then is not this one's.
    asked: Pid,
    system: Arc<System>,
}

impl<R> Reply<R> {
    /// Answers. Whether somebody still waited; if not, the answer is dropped and counted.
    pub fn send(mut self, answer: R) -> bool {
        let waited = self.back.take().is_some_and(|back| back.send(Ok(answer)).is_ok());
        if !waited {
            self.system.count_late_reply();
        }
        waited
    }

    /// Whether nobody waits any more, so that the work for the answer may be left out.
    pub fn is_abandoned(&self) -> bool {
        self.back.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl<R> Drop for Reply<R> {
    fn drop(&mut self) {
        let Some(back) = self.back.take() else { return };
        let reason = if thread::panicking() && current() == Some(self.asked) {
            Some(ExitReason::Panic("the handler panicked".to_owned()))
        } else {
            ENDING.with_borrow(|ending| {
                ending.as_ref().filter(|(pid, _)| *pid == self.asked).map(|(_, reason)| reason.clone())
            })
        };
        let _ = back.send(Err(reason.map_or(Lost::Dropped, Lost::Ended)));
    }
}

impl<R> std::fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("abandoned", &self.is_abandoned()).finish()
    }
}

impl<M: Send + 'static> ActorRef<M> {
    /// Sends the message that `message` makes of the way back, and waits for the answer at most
    /// `within`.
    ///
    /// Works inside and outside of tokio: the deadline is kept by the runtime of the actor. Where that
    /// is shut down before the outcome is known, the actor counts as killed.
    ///
    /// # Errors
    /// [`AskError`] says which of the ways without an answer it was.
    pub async fn ask<R: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<R>) -> M,
        within: Duration,
    ) -> Result<R, AskError> {
        let pid = self.pid();
        let mut answer = self.begin_ask(message)?;
        let mut clock = pin!({
            let _context = self.system().io().map(tokio::runtime::Handle::enter);
            tokio::time::sleep(within)
        });
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = Pin::new(&mut answer).poll(cx) {
                return Poll::Ready(self.end_ask(outcome));
            }
            // Tokio panics where the runtime of the clock is shut down, and offers no way to ask first.
            match catch_unwind(AssertUnwindSafe(|| clock.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(())) => Poll::Ready(Err(AskError::Timeout(pid))),
                Err(_) => Poll::Ready(Err(AskError::Ended { pid, reason: ExitReason::Killed })),
            }
        })
        .await
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
        let outcome = self.system().block_in_place(|| wait(answer, within));
        let outcome = outcome.ok_or_else(|| AskError::Timeout(self.pid()))?;
        self.end_ask(outcome)
    }

    fn begin_ask<R: Send + 'static>(
        &self,
        message: impl FnOnce(Reply<R>) -> M,
    ) -> Result<oneshot::Receiver<Outcome<R>>, AskError> {
        if current() == Some(self.pid()) {
            return Err(AskError::OwnActor(self.pid()));
        }
        let (back, answer) = oneshot::channel();
        let reply = Reply { back: Some(back), asked: self.pid(), system: self.system().clone() };
        self.send(message(reply)).map_err(|_| AskError::NoProcess(self.pid()))?;
        Ok(answer)
    }

    fn end_ask<R>(&self, outcome: Result<Outcome<R>, oneshot::error::RecvError>) -> Result<R, AskError> {
        let pid = self.pid();
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Lost::Ended(reason))) => Err(AskError::Ended { pid, reason }),
            Ok(Err(Lost::Dropped)) | Err(_) => Err(AskError::NoReply(pid)),
        }
    }
}

thread_local! {
    /// The actor whose messages and state are dropped on this thread, and why it ends.
    static ENDING: RefCell<Option<(Pid, ExitReason)>> = const { RefCell::new(None) };
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

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread; `None` when the time is up.
fn wait<F: Future>(future: F, within: Duration) -> Option<F::Output> {
    let deadline = Instant::now().checked_add(within);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut cx) = (pin!(future), TaskContext::from_waker(&waker));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return None,
            Some(left) => thread::park_timeout(left),
            None => thread::park(),
        }
    }
}
