//! System signals: what the runtime and other actors tell an actor besides messages.

use std::sync::atomic::{AtomicU64, Ordering};

use super::info::Inspection;
use super::{Behaviour, ExitReason, NodeEvent, shielded};
use crate::mailbox::Payload;
use crate::pid::Pid;

/// Names one monitor. Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MonitorRef(u64);

impl MonitorRef {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The number, for bindings.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// A reference from its number.
    pub const fn from_u64(raw: u64) -> Self {
        Self(raw)
    }
}

/// How an actor came to hear of an exit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExitCause {
    /// Through a link, or by an explicit exit signal, and it traps exits.
    Signal,
    /// Through a monitor: a DOWN.
    Monitor(MonitorRef),
    /// Through a monitor of an actor on another node; the text is that node's address.
    RemoteMonitor(String),
}

/// A structured system message, as a behaviour or an observer receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemMessage {
    /// Another actor ended.
    Exit {
        /// Who ended. With [`ExitCause::RemoteMonitor`] it is a PID of the other node.
        target: Pid,
        /// Why.
        reason: ExitReason,
        /// How this actor came to hear of it.
        cause: ExitCause,
    },
    /// This actor's code was swapped, or a swap failed and the old code stays.
    HotSwap {
        /// This actor.
        target: Pid,
        /// The version that now runs.
        version: u64,
        /// Why the swap failed, if it did.
        error: Option<String>,
    },
    /// `from` asked whether this actor's runtime answers; the PONG goes back by itself.
    Ping {
        /// Who asked.
        from: Pid,
    },
    /// The answer to a ping.
    Pong {
        /// Who was pinged.
        from: Pid,
    },
    /// Another node came, went, or does not keep up; for those who asked by
    /// [`Runtime::monitor_nodes`](crate::Runtime::monitor_nodes).
    Node(Box<NodeEvent>),
}

/// Who is told of an end.
pub(crate) enum Watcher {
    /// An actor, by a DOWN in its mailbox.
    Actor(Pid),
    /// A thread or future that waits, by this call.
    Once(Box<dyn FnOnce(&ExitReason) + Send>),
}

impl Watcher {
    /// The actor, if it is one.
    pub(crate) fn actor(&self) -> Option<Pid> {
        match self {
            Self::Actor(pid) => Some(*pid),
            Self::Once(_) => None,
        }
    }
}

/// New code on its way to an actor.
pub(crate) struct Swap {
    pub(crate) behaviour: Box<dyn Behaviour>,
    pub(crate) version: u64,
}

/// What can be put into an inbox. The variants decide what overtakes (S41).
pub(crate) enum Envelope {
    /// A user message, in order.
    User(Payload),
    /// A signal that keeps its place among the messages.
    Ordered(Box<Placed<Signal>>),
    /// A signal that runs before the next message.
    Urgent(Box<Signal>),
    /// An exit signal: urgent, unless the receiver traps exits.
    Exit(Box<Placed<ExitSignal>>),
}

/// What may have to keep its place among messages that lie elsewhere, in the queue of a bounded mailbox.
pub(crate) struct Placed<S> {
    pub(super) signal: S,
    /// The number of the message that it follows; zero where all messages are in the inbox too.
    after: u64,
}

impl<S> Placed<S> {
    fn new(signal: S) -> Box<Self> {
        Box::new(Self { signal, after: 0 })
    }
}

impl Envelope {
    #[inline(always)]
    pub(super) fn is_user(&self) -> bool {
        matches!(self, Self::User(_))
    }

    /// Says which message of a bounded mailbox a signal follows.
    pub(super) fn place(&mut self, number: u64) {
        match self {
            Self::Ordered(placed) => placed.after = number,
            Self::Exit(placed) => placed.after = number,
            Self::User(_) | Self::Urgent(_) => {}
        }
    }

    /// The number of the message that this follows.
    pub(super) fn follows(&self) -> u64 {
        match self {
            Self::Ordered(placed) => placed.after,
            Self::Exit(placed) => placed.after,
            Self::User(_) | Self::Urgent(_) => 0,
        }
    }

    /// What a user message carries.
    #[inline(always)]
    pub(super) fn payload(&self) -> &Payload {
        let Self::User(payload) = self else { unreachable!("asked of user messages only") };
        payload
    }
}

pub(crate) struct ExitSignal {
    pub(crate) from: Option<Pid>,
    pub(crate) reason: ExitReason,
    /// Whether it comes through a link; such a signal from an unlinked actor is ignored (S32).
    pub(crate) linked: bool,
}

pub(crate) enum Signal {
    Stop(ExitReason),
    Kill,
    /// The actor's own code has ended, somewhere else than in a turn.
    End {
        reason: ExitReason,
        /// Whether who asked was told of it.
        asker_told: bool,
    },
    Exit(ExitSignal),
    Swap(Swap),
    SwapNow(Swap),
    Rollback(u64),
    Ping(Pid),
    Down {
        monitor: MonitorRef,
        target: Pid,
        reason: ExitReason,
    },
    /// A system message that the runtime itself addresses to the actor.
    System(SystemMessage),
    /// `watcher` wants to be told of this actor's end.
    Watch(MonitorRef, Watcher),
    Unwatch(MonitorRef),
    /// This actor now monitors `target`.
    Monitoring(MonitorRef, Pid),
    Demonitor(MonitorRef),
    /// This actor is now linked to another.
    Linked(Pid),
    Unlinked(Pid),
    TrapExit(bool),
    /// Somebody wants to know its bonds.
    Inspect(Inspection),
    /// Somebody wants to know when what was sent before has been handled.
    Mark(Mark),
}

/// Calls somebody once it has been reached in its place among the messages, or the actor has ended, so that
/// it never will be.
pub(crate) struct Mark(Option<Box<dyn FnOnce() + Send>>);

impl Mark {
    pub(crate) fn new(reached: Box<dyn FnOnce() + Send>) -> Self {
        Self(Some(reached))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some(reached) = self.0.take() {
            shielded("a mark", reached);
        }
    }
}

impl Signal {
    /// Puts the signal into its envelope.
    pub(crate) fn seal(self) -> Envelope {
        match self {
            Self::Exit(exit) => Envelope::Exit(Placed::new(exit)),
            Self::Stop(_)
            | Self::Swap(_)
            | Self::Rollback(_)
            | Self::Down { .. }
            | Self::System(_)
            | Self::Mark(_) => Envelope::Ordered(Placed::new(self)),
            _ => Envelope::Urgent(Box::new(self)),
        }
    }
}
