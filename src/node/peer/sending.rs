//! Sending to a peer, connected or not.

use std::time::Duration;

use bytes::Bytes;

use super::Peer;
use crate::node::Node;
use crate::node::askers::{Stay, Target};
use crate::node::error::RemoteSendError;
use crate::node::here::Here;
use crate::node::link::{Life, Question, Unasked};
use crate::node::outbound::Refusal;
use crate::node::shared::now;
use crate::node::standing::Up;
use crate::pid::Pid;
use crate::transport::NodeAddr;

impl Node {
    /// Queues `message` for the actor `pid` of the node at `addr`; never waits.
    ///
    /// `Ok` means queued: the message is lost if the connection breaks before it is written and
    /// delivered (G4). Any error hands it back. More than `max_sent_payload` is taken only while the
    /// node is known to speak level 2; [`send`](Self::send) finds out.
    pub fn try_send(&self, addr: &NodeAddr, pid: Pid, message: Bytes) -> Result<(), RemoteSendError> {
        let (peer, message) = self.sendable(addr, message)?;
        peer.try_send(pid, message)
    }

    /// Like [`try_send`](Self::try_send), but waits for room in the queue, at most `send_timeout`
    /// (L10).
    pub async fn send(&self, addr: &NodeAddr, pid: Pid, message: Bytes) -> Result<(), RemoteSendError> {
        self.send_within(addr, pid, message, None).await
    }

    /// As [`send`](Self::send), with a limit of its own.
    pub(in crate::node) async fn send_within(
        &self,
        addr: &NodeAddr,
        pid: Pid,
        message: Bytes,
        limit: Option<Duration>,
    ) -> Result<(), RemoteSendError> {
        let (peer, message) = self.sendable(addr, message)?;
        peer.send(pid, message, limit).await
    }

    /// The number of the lane in which everything for the actor `pid` at `addr` travels, in its order; 0 is the control
    /// lane, which carries it where a link has no other. Actors with the same number wait for each other when a packet is
    /// lost. It is that of the link which is up: `None` if none is, as with a peer of level 1.
    pub fn lane_of(&self, addr: &NodeAddr, pid: Pid) -> Option<usize> {
        match self.inner.peers.get(addr)?.standing.up()? {
            Up::Two(link) => Some(link.lane_of(pid)),
            Up::One | Up::Here => None,
        }
    }
}

impl Peer {
    /// Queues a message, or hands it back at once.
    pub(in crate::node) fn try_send(&self, pid: Pid, message: Bytes) -> Result<(), RemoteSendError> {
        let len = message.len();
        self.offer(None, pid, message).map_err(|refused| self.refusal(len, refused))
    }

    /// Queues a message, waiting for room at most for `limit`, or for the time that is configured.
    pub(in crate::node) async fn send(
        &self,
        pid: Pid,
        message: Bytes,
        limit: Option<Duration>,
    ) -> Result<(), RemoteSendError> {
        let len = message.len();
        self.wait_to_send(None, pid, None, message, limit).await.map_err(|refused| self.refusal(len, refused))
    }

    /// As [`send`](Self::send), to an actor of one life of the peer, behind questions to the `target` that wait.
    pub(in crate::node) async fn wait_to_send(
        &self,
        life: Option<Life>,
        pid: Pid,
        target: Option<Target>,
        message: Bytes,
        limit: Option<Duration>,
    ) -> Result<(), (Refusal, Bytes)> {
        let limit = limit.unwrap_or(self.shared.config.send_timeout);
        if message.len() > self.shared.config.max_sent_payload && self.standing.up().is_none() {
            // Only a peer of level 2 takes it. If there is no connection, that is said below.
            let _ = self.shared.within(limit, self.connect()).await;
        }
        let deadline = self.shared.within(limit, std::future::pending::<()>());
        let offer = |message| match target {
            Some(target) if self.shared.askers.has_line(target) => Err((Refusal::Held, message)),
            _ => self.offer(life, pid, message),
        };
        self.room.send(deadline, message, offer, |len| self.wake_next(len)).await
    }

    /// Puts a question as soon as there is room, with `ask`, which hands it back while there is none.
    pub(in crate::node) async fn wait_to_ask(
        &self,
        ask: impl Fn(Bytes, Question) -> Result<(), Unasked>,
        stay: Stay,
        unasked: Unasked,
    ) {
        self.room.ask(ask, stay, unasked, |len| self.wake_next(len)).await;
    }

    /// Queues a message, for an actor of one life of the peer or of whichever answers.
    pub(in crate::node) fn offer(
        &self,
        life: Option<Life>,
        pid: Pid,
        message: Bytes,
    ) -> Result<(), (Refusal, Bytes)> {
        // Into a link without the lock of what waits for one: all of that is in it before it is shown.
        let standing = self.standing.look();
        if let Some(link) = standing.open_link().filter(|link| life.is_none_or(|life| link.peer == life)) {
            if let Some(lane) = link.queue(pid, message)? {
                let link = link.clone();
                drop(standing);
                link.rouse(lane);
            }
            return Ok(());
        }
        drop(standing);
        let mut out = self.outbound();
        let up = self.standing.up();
        if up.as_ref().is_some_and(|up| !is_of(life, up)) {
            return Err((Refusal::Gone, message));
        }
        match up {
            Some(Up::Two(link)) if !out.is_closed() => {
                let waiting = link.queue(pid, message)?;
                drop(out);
                waiting.into_iter().for_each(|lane| link.rouse(lane));
                Ok(())
            }
            Some(Up::Here) if !out.is_closed() => {
                Here(&self.shared).offer(pid, message, self.room.released())
            }
            _ if message.len() > self.shared.config.max_sent_payload => {
                Err((Refusal::TooLarge(self.shared.config.max_sent_payload), message))
            }
            _ => out.push_message(now(), pid, message, life).map(|()| self.work.notify_one()),
        }
    }

    fn refusal(&self, len: usize, (refusal, message): (Refusal, Bytes)) -> RemoteSendError {
        let addr = self.addr.clone();
        match refusal {
            Refusal::Busy | Refusal::Held | Refusal::Unanswered => RemoteSendError::Busy { addr, message },
            Refusal::NoConnection(reason) => RemoteSendError::NoConnection { addr, reason, message },
            Refusal::TooLarge(max) => RemoteSendError::TooLarge { len, max, message },
            Refusal::Gone | Refusal::Closed => RemoteSendError::Closed { message },
        }
    }
}

/// Whether what is up is the life that is meant.
fn is_of(life: Option<Life>, up: &Up) -> bool {
    match (life, up) {
        (None, _) => true,
        (Some(life), Up::Two(link)) => link.peer == life,
        (Some(_), Up::One | Up::Here) => false,
    }
}
