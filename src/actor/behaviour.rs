//! The trait under every kind of actor.

use std::any::{Any, TypeId};
use std::pin::Pin;

use bytes::Bytes;

use super::{Context, ExitReason, SystemMessage};
use crate::mailbox::Payload;
use crate::pid::Pid;

/// The rest of a message's handling. It resolves to what the actor does next.
pub type ParkedFuture = Pin<Box<dyn Future<Output = Flow> + Send>>;

/// What an actor does after a message.
#[must_use]
pub enum Flow {
    /// Wait for the next message.
    Continue,
    /// End with this reason.
    Stop(ExitReason),
    /// The message is not finished: poll this future, and take no further message until it is
    /// done. Urgent signals still run meanwhile (S41).
    Park(ParkedFuture),
    /// As `Park`, with what is waited for inside the behaviour: call [`Behaviour::resume`] when
    /// [`Context::waker`] was woken.
    Waiting,
}

/// The code and state of an actor, as the runtime sees it.
///
/// Most users write an [`Actor`](super::Actor) or an [`AsyncActor`](super::AsyncActor); language
/// bindings implement this directly. A panic in any method ends the actor with
/// [`ExitReason::Panic`].
pub trait Behaviour: Send + 'static {
    /// Called once, before the first message.
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        let _ = cx;
        Flow::Continue
    }

    /// Handles one user message.
    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow;

    /// Goes on with the message for which a call returned [`Flow::Waiting`]. Also called when nobody
    /// woke the actor, so it must look for itself whether there is something to do.
    fn resume(&mut self, cx: &mut Context<'_>) -> Flow {
        let _ = cx;
        Flow::Continue
    }

    /// A stop, a hot swap or a rollback is due. A behaviour that works on messages which it has already been
    /// given returns [`Flow::Waiting`] to finish them first; it is asked again once it resumes.
    fn conclude(&mut self, cx: &mut Context<'_>) -> Flow {
        let _ = cx;
        Flow::Continue
    }

    /// The message for which a call returned [`Flow::Waiting`] will not be finished, because the actor
    /// ends: drop what was waited for. The last call.
    fn cancel(&mut self) {}

    /// Handles a system message: a DOWN of a monitored actor, a trapped EXIT, news of a hot swap, a
    /// PING or PONG. Ignored by default.
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

    /// The actor is to end with `reason`, neither by a kill nor by a panic. A behaviour with work under way elsewhere returns
    /// [`Flow::Waiting`] to have that come to its end first: it gets no message any more, and ends when
    /// [`resume`](Self::resume) returns anything else. A kill does not wait. Not for behaviours that park futures.
    fn wind_up(&mut self, reason: &ExitReason, cx: &mut Context<'_>) -> Flow {
        let _ = (reason, cx);
        Flow::Continue
    }

    /// Called once at the end, with the reason, unless the actor was killed or panicked.
    fn stopped(&mut self, reason: &ExitReason) {
        let _ = reason;
    }

    /// Which messages it takes. A hot swap must not change it (D5).
    fn message_type(&self) -> TypeId {
        TypeId::of::<Bytes>()
    }

    /// Whether `send(pid, bytes)` is accepted for it (D4).
    fn accepts_bytes(&self) -> bool {
        true
    }

    /// The lane on which its turns must be, where it is swapped into an actor of `lane`: behaviours of a
    /// language binding may belong to different threads.
    fn lane(&self, lane: u32) -> u32 {
        lane
    }

    /// Whether its turns, of messages as of everything else, are so short, and wait for so little, that a sender may run
    /// them on its own thread: see [`Runtime::send_here`](crate::Runtime::send_here).
    fn runs_anywhere(&self) -> bool {
        false
    }

    /// Whether [`started`](Self::started) has something to do. A behaviour that says `false` costs
    /// no slice of its own at spawn.
    fn starts(&self) -> bool {
        true
    }

    /// What a newer version may take over in [`upgrade`](Self::upgrade); `None` where there is no
    /// state, or while a parked future has it.
    fn state(&mut self) -> Option<&mut dyn Any> {
        None
    }

    /// Called on the new code when it replaces `version`, with the old code's
    /// [`state`](Self::state). An error keeps the old code, which must then still be usable (S40).
    fn upgrade(&mut self, old: Option<&mut dyn Any>, version: u64) -> Result<(), String> {
        let _ = (old, version);
        Ok(())
    }

    /// Called on the old code once newer code has taken over, as `version` of the actor `pid`. The
    /// new code hears of it by [`SystemMessage::HotSwap`].
    fn replaced(&mut self, pid: Pid, version: u64) {
        let _ = (pid, version);
    }
}

impl From<()> for Flow {
    fn from((): ()) -> Self {
        Self::Continue
    }
}
