//! Questions by bare PID: bytes there, bytes back.
//!
//! A [`Request`] is the message that carries such a question. Most actors of bytes never see one: they
//! get the bytes, and the way back from [`Context::take_reply`]. Language bindings and actors that
//! answer later take it as it is.

use std::any::TypeId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::{self, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ask::{answered, answered_blocking, outcome, unasked};
use super::one_shot::{Receiver, one_shot};
use super::slot::flag;
use super::{AskError, Context, Flow, Reply, System, current};
use crate::mailbox::{IntoBytes, Payload, Value};
use crate::pid::Pid;

/// A message for an actor of bytes, and the way back for its answer.
///
/// An [`Actor`](super::Actor) or [`AsyncActor`](super::AsyncActor) whose `Msg` this is gets plain messages in
/// it as well, those without anybody who waits.
#[derive(Debug)]
pub struct Request {
    message: Payload,
    reply: Option<Reply<Payload>>,
    deadline: Option<Instant>,
}

impl Request {
    /// A message whose sender wants no answer.
    pub(super) fn plain(message: Payload) -> Self {
        Self { message, reply: None, deadline: None }
    }

    /// A message whose sender waits for an answer, with the way back that it brought along.
    pub(crate) fn question(message: Bytes, reply: Reply<Payload>, deadline: Option<Instant>) -> Payload {
        let message = Payload::Bytes(message);
        Payload::Value(Value::with_bytes(Self { message, reply: Some(reply), deadline }))
    }

    /// What a message says, and the way back if somebody waits for an answer: a [`Request`] taken apart, or
    /// any other message as it is.
    pub fn open(message: Payload) -> (Payload, Option<Reply<Payload>>) {
        let (_, message, reply) = Self::take_apart(message);
        (message, reply)
    }

    /// As [`open`](Self::open), with the deadline.
    pub(super) fn take_apart(message: Payload) -> (Option<Instant>, Payload, Option<Reply<Payload>>) {
        match message {
            Payload::Value(value) => match value.downcast::<Self>() {
                Ok(Self { message, reply, deadline }) => (deadline, message, reply),
                Err(value) => (None, Payload::Value(value), None),
            },
            bytes @ Payload::Bytes(_) => (None, bytes, None),
        }
    }

    /// When who asked gives up, by the runtime's clock; `None` if never, or if nobody waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether somebody waits for an answer.
    pub fn is_question(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_abandoned())
    }

    /// What it says, and the way back if there is one.
    pub fn into_parts(self) -> (Payload, Option<Reply<Payload>>) {
        (self.message, self.reply)
    }

    /// The bytes of what it says. The way back, if there is one, is dropped.
    pub fn into_bytes(self) -> Bytes {
        // Whoever makes one has seen to it that there are some.
        self.message.into_bytes().unwrap_or_default()
    }
}

/// For receivers that know nothing of questions: who asked is told that there is no answer.
impl IntoBytes for Request {
    fn into_bytes(self) -> Bytes {
        self.into_bytes()
    }
}

impl Context<'_> {
    /// The way back for the answer to the message that is being handled, if whoever sent it waits for one
    /// ([`Runtime::ask`](crate::Runtime::ask), here or on another node). To be taken at most once, by actors
    /// of bytes; what is not taken when the handler returns tells who asked that there is no answer.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rt = myrmidon::Runtime::new()?;
    /// let upper = rt.spawn_fn(|message, cx| {
    ///     if let Some(reply) = cx.take_reply() {
    ///         reply.send(message.to_ascii_uppercase().into());
    ///     }
    /// });
    /// let answer = rt.ask_blocking(upper, "hello", Duration::from_secs(5))?.into_bytes().unwrap();
    /// assert_eq!(answer, "HELLO");
    /// # Ok(())
    /// # }
    /// ```
    pub fn take_reply(&mut self) -> Option<Reply<Payload>> {
        self.bonds.existing().and_then(|tables| tables.asked.take())
    }

    /// Handles what a message says with `handle`, where the way back can be taken.
    #[inline(always)]
    pub(super) fn answering(
        &mut self,
        message: Payload,
        handle: impl FnOnce(Payload, &mut Self) -> Flow,
    ) -> Flow {
        let is_request = matches!(&message, Payload::Value(value) if value.is::<Request>());
        if is_request { self.answer(message, handle) } else { handle(message, self) }
    }

    #[inline(never)]
    fn answer(&mut self, request: Payload, handle: impl FnOnce(Payload, &mut Self) -> Flow) -> Flow {
        let (message, reply) = Request::open(request);
        self.bonds.tables().asked = reply;
        let flow = handle(message, self);
        // The end of the actor tells who asked why.
        if !matches!(flow, Flow::Stop(_)) {
            drop(self.take_reply());
        }
        flow
    }
}

impl System {
    /// See [`Runtime::ask`](crate::Runtime::ask).
    pub(crate) async fn ask(
        &self,
        pid: Pid,
        message: Payload,
        within: Duration,
    ) -> Result<Payload, AskError> {
        let answer = self.request(pid, message, self.clock().now().checked_add(within))?;
        answered(self, pid, answer, within).await
    }

    /// As [`ask`](Self::ask), on this thread.
    pub(crate) fn ask_blocking(
        &self,
        pid: Pid,
        message: Payload,
        within: Duration,
    ) -> Result<Payload, AskError> {
        let answer = self.request(pid, message, self.clock().now().checked_add(within))?;
        answered_blocking(self, pid, answer, within)
    }

    /// Asks for a peer, which does not wait: `then` is called once with the outcome, where that comes to
    /// be, and must be short. No deadline ends it but who has the [`Reply`].
    pub(crate) fn ask_then(
        &self,
        pid: Pid,
        message: Payload,
        deadline: Option<Instant>,
        then: impl FnOnce(Result<Payload, AskError>) + Send + 'static,
    ) {
        let admitted = if self.admits_peers(pid) { Ok(()) } else { Err(AskError::Untrusted(pid)) };
        match admitted.and_then(|()| self.request(pid, message, deadline)) {
            Ok(answer) => Arc::new(Listener::new(pid, answer, Box::new(then))).look(),
            Err(error) => then(Err(error)),
        }
    }

    fn request(&self, pid: Pid, message: Payload, deadline: Option<Instant>) -> Result<Receiver, AskError> {
        if current() == Some(pid) {
            return Err(AskError::OwnActor(pid));
        }
        let slot = self.slot(pid).filter(|slot| slot.is_alive(pid)).ok_or(AskError::NoProcess(pid))?;
        if !slot.has(flag::BYTES) {
            return Err(AskError::NotBytes(pid));
        }
        if !message.has_bytes() {
            let reason = "it has no byte form".to_owned();
            return Err(AskError::Unsendable { pid, reason });
        }
        let (back, answer) = one_shot();
        let request = Request { message, reply: Some(Reply::new(back, pid, self)), deadline };
        let sent = self.send(pid, Payload::Value(Value::with_bytes(request)));
        sent.map_err(|error| unasked(pid, &error))?;
        Ok(answer)
    }
}

/// The message of type `M` that a request is or holds, if that is what `M` says it takes.
pub(super) fn as_request<M: Send + 'static>(message: Payload) -> Result<M, Payload> {
    if TypeId::of::<M>() != TypeId::of::<Request>() {
        return Err(message);
    }
    let value = Value::new(Request::plain(message));
    value.downcast::<M>().map_err(Payload::Value)
}

type Then = Box<dyn FnOnce(Result<Payload, AskError>) + Send>;

/// Who listens for an outcome without a thread or a task: woken where that comes to be.
struct Listener {
    asked: Pid,
    waiting: Mutex<Option<(Receiver, Then)>>,
    /// It was woken; whoever holds `waiting` looks again.
    woken: AtomicBool,
}

impl Listener {
    fn new(asked: Pid, answer: Receiver, then: Then) -> Self {
        Self { asked, waiting: Mutex::new(Some((answer, then))), woken: AtomicBool::new(false) }
    }

    /// Looks whether the outcome is there. A wake may come out of the look itself.
    fn look(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        while self.woken.load(Ordering::SeqCst) {
            let Some(mut waiting) = self.try_lock() else { return };
            self.woken.store(false, Ordering::SeqCst);
            let Some((mut answer, then)) = waiting.take() else { return };
            let waker = Waker::from(self.clone());
            match answer.poll(&task::Context::from_waker(&waker)) {
                Poll::Ready(found) => {
                    drop(waiting);
                    return then(outcome(self.asked, found));
                }
                Poll::Pending => *waiting = Some((answer, then)),
            }
        }
    }

    /// `None` if another thread, or this one further down, is looking: it sees that it was woken.
    fn try_lock(&self) -> Option<MutexGuard<'_, Option<(Receiver, Then)>>> {
        match self.waiting.try_lock() {
            Ok(waiting) => Some(waiting),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Wake for Listener {
    fn wake(self: Arc<Self>) {
        self.look();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.look();
    }
}

#[cfg(test)]
impl Reply<Payload> {
    /// A way back, with who waits at its end.
    pub(crate) fn of(pid: Pid) -> (Self, Waits) {
        let system = System::new(1).expect("random numbers");
        let (back, answer) = one_shot();
        (Self::new(back, pid, &system), Waits(answer))
    }
}

/// Who waits for an answer, until it is dropped.
#[cfg(test)]
pub(crate) struct Waits(Receiver);

#[cfg(test)]
impl Waits {
    /// What has come of it, which it has.
    pub(crate) fn outcome(self, pid: Pid) -> Result<Payload, AskError> {
        outcome(pid, self.0.close())
    }
}
