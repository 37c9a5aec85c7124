//! Sends that wait for room: in a bounded mailbox, or on the way to another node.

use std::time::Duration;

use super::Runtime;
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::pid::Pid;

impl Runtime {
    /// As [`send`](Self::send), but waits for room where the policy of the mailbox is
    /// [`Overflow::Block`](crate::mailbox::Overflow::Block); see [`ActorRef::send_async`](crate::actor::ActorRef::send_async).
    /// To an actor of another node it waits for room on the way there, at most
    /// [`send_timeout`](crate::config::NodeConfig::send_timeout).
    ///
    /// # Errors
    /// As `send`, and if the actor ends meanwhile.
    pub async fn send_async(&self, pid: Pid, message: impl Into<Payload>) -> Result<(), SendError<Payload>> {
        self.inner.system.send_async(pid, message.into(), None).await
    }

    /// As [`send_async`](Self::send_async), but waits for room on the way to another node as long as it takes, too.
    ///
    /// # Errors
    /// As `send_async`.
    pub async fn send_eventually(
        &self,
        pid: Pid,
        message: impl Into<Payload>,
    ) -> Result<(), SendError<Payload>> {
        self.inner.system.send_async(pid, message.into(), Some(Duration::MAX)).await
    }

    /// As [`send_async`](Self::send_async), but blocks the thread for at most `limit`; see
    /// [`ActorRef::send_blocking`](crate::actor::ActorRef::send_blocking).
    ///
    /// # Errors
    /// As `send_async`, and [`SendError::Full`] when the time is up.
    pub fn send_blocking(
        &self,
        pid: Pid,
        message: impl Into<Payload>,
        limit: Duration,
    ) -> Result<(), SendError<Payload>> {
        self.inner.system.send_blocking(pid, message.into(), limit)
    }
}
