//! One error type per operation; where a message could not be delivered, the error hands it back.

use std::fmt;

use crate::pid::Pid;

/// Why a local send failed. The message is handed back.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SendError<M> {
    /// No actor has this PID (it ended, or the PID is not of this runtime).
    #[error("no actor {pid} here: it has ended, or the PID belongs to another node or runtime")]
    NoProcess {
        /// The PID as given.
        pid: Pid,
        /// The message.
        message: M,
    },
    /// The actor's bounded mailbox has no room, or the queue to its node has none (L10).
    #[error(
        "the mailbox of actor {pid} is full, or the queue to its node: send again later, wait with \
         send_async, or give it more room"
    )]
    Full {
        /// The PID as given.
        pid: Pid,
        /// The message.
        message: M,
    },
    /// The actor lives on another node, which cannot be reached now.
    #[error("no connection to the node of actor {pid}: {reason}")]
    NoConnection {
        /// The PID as given.
        pid: Pid,
        /// What happened, and what to do.
        reason: Box<str>,
        /// The message.
        message: M,
    },
    /// The actor lives on another node, and the message is larger than what that takes (L02).
    #[error(
        "a message of {len} bytes is too large for the node of actor {pid}, at most {max} are sent: split it"
    )]
    TooLarge {
        /// The PID as given.
        pid: Pid,
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
        /// The message.
        message: M,
    },
    /// The actor takes typed messages only and has no codec for bytes.
    #[error("actor {pid} does not take bytes: use its typed reference, or give the actor a codec")]
    NotBytes {
        /// The PID as given.
        pid: Pid,
        /// The message.
        message: M,
    },
}

impl<M> SendError<M> {
    /// The message that was not delivered.
    pub fn into_message(self) -> M {
        match self {
            Self::NoProcess { message, .. }
            | Self::Full { message, .. }
            | Self::NoConnection { message, .. }
            | Self::TooLarge { message, .. }
            | Self::NotBytes { message, .. } => message,
        }
    }

    /// The same error around another form of the message.
    pub fn map<N>(self, f: impl FnOnce(M) -> N) -> SendError<N> {
        match self {
            Self::NoProcess { pid, message } => SendError::NoProcess { pid, message: f(message) },
            Self::Full { pid, message } => SendError::Full { pid, message: f(message) },
            Self::NoConnection { pid, reason, message } => {
                SendError::NoConnection { pid, reason, message: f(message) }
            }
            Self::TooLarge { pid, len, max, message } => {
                SendError::TooLarge { pid, len, max, message: f(message) }
            }
            Self::NotBytes { pid, message } => SendError::NotBytes { pid, message: f(message) },
        }
    }
}

/// Why not all of many messages were sent. What was not comes back.
#[derive(thiserror::Error)]
#[error("{delivered} messages were sent, then one was not: {error}")]
#[non_exhaustive]
pub struct SendManyError<M> {
    /// How many were sent.
    pub delivered: usize,
    /// Why the next one was not, with that message.
    pub error: SendError<M>,
    /// The messages behind it, which were not tried.
    pub rest: Vec<M>,
}

impl<M> SendManyError<M> {
    /// All messages that were not sent, in order.
    pub fn into_messages(self) -> Vec<M> {
        let mut messages = self.rest;
        messages.insert(0, self.error.into_message());
        messages
    }
}

/// Leaves the messages out, so that they need not be `Debug`.
impl<M> fmt::Debug for SendManyError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Leaves the message out, so that it need not be `Debug`.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a name could not be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another living actor has the name.
    #[error("the name {name:?} belongs to the living actor {owner}: unregister it first, or choose another")]
    Taken {
        /// The name.
        name: String,
        /// Who has it.
        owner: Pid,
    },
    /// The actor to be named is not alive.
    #[error("cannot name actor {0}: it is not alive; register another")]
    NoProcess(Pid),
    /// Empty, longer than 255 bytes, or beginning with NUL.
    #[error("{name:?} cannot be a name: {reason}")]
    BadName {
        /// The name, cut to a line.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The node holds as many names as it may (L18).
    #[error("the registry is full ({0} names): unregister some")]
    Full(usize),
}

/// Why a hot swap was refused at the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SwapError {
    /// The actor lives on another node: swap its code there.
    #[error("cannot swap the code of actor {0} from here: it lives on another node; do it there")]
    Remote(Pid),
    /// No such actor.
    #[error("cannot swap the code of actor {0}: it is not alive; spawn it anew")]
    NoProcess(Pid),
    /// The new behaviour takes another type of message.
    #[error("cannot swap the code of actor {0}: the new behaviour takes another type of message")]
    MessageType(Pid),
    /// There is no older version to go back to.
    #[error("actor {0} has no earlier version to go back to: swap its code first")]
    NoHistory(Pid),
}

/// A [simulation](crate::sim) has taken all the steps that it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the simulation has not come to rest within its {0} steps: give it a higher limit, or look in its trace for who \
     never rests"
)]
pub struct StepLimit(
    /// How many those are: [`SimBuilder::step_limit`](crate::sim::SimBuilder::step_limit).
    pub usize,
);
