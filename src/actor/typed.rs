//! Actors as Rust users write them, and the typed reference to one.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::dead_letters::DeadLetterReason;
use super::request::as_request;
use super::send_async::typed;
use super::slot::Slot;
use super::{AsyncActor, AsyncAdapter, Behaviour, Context, ExitReason, Flow, Request, System, SystemMessage};
use crate::error::{SendError, SwapError};
use crate::mailbox::{Bounded, Payload};
use crate::pid::Pid;
use crate::wheel::TimerId;

/// Reads a message that came as bytes; an error says what is wrong with them.
pub type Codec<M> = fn(Bytes) -> Result<M, String>;

/// An actor with a synchronous handler: the fast path.
pub trait Actor: Sized + Send + 'static {
    /// What it is sent. Actors of [`Bytes`] take messages by bare PID and from other nodes.
    type Msg: Send + 'static;

    /// Called once, before the first message.
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        let _ = cx;
        Flow::Continue
    }

    /// Handles one message.
    fn handle(&mut self, message: Self::Msg, cx: &mut Context<'_>) -> Flow;

    /// Handles a system message: DOWN, trapped EXIT, HOT_SWAP, PING, PONG.
    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        let _ = (message, cx);
        Flow::Continue
    }

    /// Asked to stop, in its turn behind earlier messages. [`Flow::Stop`], the default, ends the actor;
    /// [`Flow::Continue`] lets it finish something first and end itself later.
    fn stopping(&mut self, reason: ExitReason, cx: &mut Context<'_>) -> Flow {
        let _ = cx;
        Flow::Stop(reason)
    }

    /// Called once at the end, unless the actor was killed or panicked.
    fn stopped(&mut self, reason: &ExitReason) {
        let _ = reason;
    }

    /// Reads a message that came as bytes. Give one to make a typed actor reachable by bare PID and
    /// from other nodes; what it refuses is a dead letter, logged with the error.
    fn codec() -> Option<Codec<Self::Msg>> {
        None
    }

    /// Called on the new code of a hot swap with the state of `version`, from which it may take what
    /// it needs; an error keeps the old code, which must then still be usable.
    fn upgrade(&mut self, old: &mut dyn Any, version: u64) -> Result<(), String> {
        let _ = (old, version);
        Ok(())
    }
}

/// A typed handle to an actor of this runtime. Cheap to clone; holds nothing alive.
pub struct ActorRef<M> {
    pid: Pid,
    /// Where `pid` lives, so that sending need not look it up.
    slot: &'static Slot,
    system: Arc<System>,
    message: PhantomData<fn(M)>,
}

impl<M: Send + 'static> ActorRef<M> {
    /// A reference to an actor that this system has started.
    pub(crate) fn new(pid: Pid, system: Arc<System>) -> Self {
        let slot = system.slot(pid).expect("an actor that was started has a slot");
        Self { pid, slot, system, message: PhantomData }
    }

    /// The PID.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Whether the actor has a bounded mailbox with no room. Others may change that at any time.
    pub fn is_full(&self) -> bool {
        self.slot.bounded_for(self.pid).is_some_and(Bounded::is_full)
    }

    pub(super) fn slot(&self) -> &'static Slot {
        self.slot
    }

    /// Sends a message. Never waits.
    ///
    /// # Errors
    /// Hands the message back if the actor has ended, or if its bounded mailbox is full and rejects it.
    #[inline(always)]
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        self.system.send_to(self.slot, self.pid, message, Payload::of).map_err(typed)
    }

    /// Sends a message after `delay`, unless the actor has ended; if it has already, the message is a
    /// dead letter. Take it back with [`Timers::cancel`](crate::timer::Timers::cancel) or
    /// [`Context::cancel_timer`].
    pub fn send_after(&self, delay: Duration, message: M) -> TimerId {
        self.system.send_after(delay, self.pid, Payload::of(message))
    }

    /// Replaces the code behind the messages sent so far (D5). Returns the new version at once.
    ///
    /// # Errors
    /// If the actor has ended.
    pub fn hot_swap<A: Actor<Msg = M>>(&self, actor: A) -> Result<u64, SwapError> {
        self.system.hot_swap(self.pid, Box::new(SyncAdapter(actor)), false)
    }

    /// As [`hot_swap`](Self::hot_swap), with an actor whose handler may wait.
    ///
    /// # Errors
    /// If the actor has ended.
    pub fn hot_swap_async<A: AsyncActor<Msg = M>>(&self, actor: A) -> Result<u64, SwapError> {
        self.system.hot_swap(self.pid, Box::new(AsyncAdapter::new(actor)), false)
    }
}

impl<M> Clone for ActorRef<M> {
    fn clone(&self) -> Self {
        Self { pid: self.pid, slot: self.slot, system: self.system.clone(), message: PhantomData }
    }
}

impl<M> std::fmt::Debug for ActorRef<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ActorRef({:?})", self.pid)
    }
}

/// Runs an [`Actor`] as a [`Behaviour`].
pub(crate) struct SyncAdapter<A>(pub(crate) A);

impl<A: Actor> Behaviour for SyncAdapter<A> {
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        self.0.started(cx)
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        match message.take::<A::Msg>() {
            Ok(message) => self.0.handle(message, cx),
            Err(payload) => cx.answering(payload, |payload, cx| match decode(payload, A::codec()) {
                Some(message) => self.0.handle(message, cx),
                None => unreadable(cx),
            }),
        }
    }

    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        self.0.system(message, cx)
    }

    fn stopping(&mut self, reason: ExitReason, cx: &mut Context<'_>) -> Flow {
        self.0.stopping(reason, cx)
    }

    fn stopped(&mut self, reason: &ExitReason) {
        self.0.stopped(reason);
    }

    fn message_type(&self) -> TypeId {
        TypeId::of::<A::Msg>()
    }

    fn accepts_bytes(&self) -> bool {
        takes_bytes::<A::Msg>(A::codec().is_some())
    }

    fn state(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.0)
    }

    fn upgrade(&mut self, old: Option<&mut dyn Any>, version: u64) -> Result<(), String> {
        old.map_or(Ok(()), |old| self.0.upgrade(old, version))
    }
}

/// A behaviour made of a function over bytes.
pub struct BytesFn<F>(F);

/// Makes an actor of a function over bytes; it may return `()` or a [`Flow`].
pub fn bytes_fn<F, R>(function: F) -> BytesFn<F>
where
    F: FnMut(Bytes, &mut Context<'_>) -> R + Send + 'static,
    R: Into<Flow>,
{
    BytesFn(function)
}

impl<F, R> Behaviour for BytesFn<F>
where
    F: FnMut(Bytes, &mut Context<'_>) -> R + Send + 'static,
    R: Into<Flow>,
{
    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        cx.answering(message, |message, cx| match message.into_bytes() {
            Ok(bytes) => (self.0)(bytes, cx).into(),
            Err(_) => unreadable(cx),
        })
    }

    fn starts(&self) -> bool {
        false
    }
}

pub(super) fn takes_bytes<M: 'static>(codec: bool) -> bool {
    codec || [TypeId::of::<Bytes>(), TypeId::of::<Request>()].contains(&TypeId::of::<M>())
}

/// The message in a payload; `None`, logged, if it cannot be read.
pub(super) fn read<M: Send + 'static>(payload: Payload, codec: Option<Codec<M>>) -> Option<M> {
    payload.take::<M>().map_or_else(|payload| decode(payload, codec), Some)
}

/// Reads a message that came as bytes, or as a value with a byte form.
#[inline(never)]
fn decode<M: Send + 'static>(payload: Payload, codec: Option<Codec<M>>) -> Option<M> {
    let payload = match as_request(payload) {
        Ok(request) => return Some(request),
        Err(payload) => payload,
    };
    let bytes = payload.into_bytes().ok()?;
    let Some(codec) = codec else { return Payload::Bytes(bytes).take().ok() };
    codec(bytes)
        .inspect_err(|error| tracing::warn!(target: "myrmidon.actor", %error, "a message could not be read"))
        .ok()
}

#[cold]
pub(super) fn unreadable(cx: &mut Context<'_>) -> Flow {
    cx.system.dead_letter(cx.pid, DeadLetterReason::Unreadable, None);
    Flow::Continue
}
