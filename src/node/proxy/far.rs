//! An actor of a node that speaks level 2, as its proxy sees it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::neighbours::Neighbour;
use crate::actor::{
    ExitReason, ExitSignal, LaterSend, Reference, Remote, Reply, Signal, SystemMessage, current,
};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::node::askers::Target;
use crate::node::error::RemoteSendError;
use crate::node::link::{Life, Link, Question, Unasked};
use crate::node::outbound::Refusal;
use crate::pid::Pid;

pub(super) struct Far {
    node: Arc<Neighbour>,
    pid: Pid,
}

impl Far {
    pub(super) fn new(node: Arc<Neighbour>, pid: Pid) -> Self {
        Self { node, pid }
    }

    /// The link, or why there is none. One is made, if that is possible, for whoever comes next.
    fn link(&self) -> Result<Arc<Link>, String> {
        if let Some(link) = self.node.link() {
            return Ok(link);
        }
        match self.node.peer() {
            Some(peer) => Err(peer.revive()),
            None => Err("its node is lost, and its address is not known here".to_owned()),
        }
    }

    /// Puts a question, or hands it back.
    fn put(&self, data: Bytes, question: Question) -> Result<(), Unasked> {
        match self.link() {
            Ok(link) => link.ask(self.pid, data, question),
            Err(reason) => Err(Unasked { refusal: Refusal::NoConnection(reason), data, question }),
        }
    }

    fn target(&self) -> Target {
        (self.node.life, self.pid)
    }

    /// Whether a question to this actor waits for room.
    fn has_line(&self) -> bool {
        match (self.node.peer(), self.node.link()) {
            (Some(peer), _) => peer.shared.askers.has_line(self.target()),
            (None, Some(link)) => link.shared.askers.has_line(self.target()),
            (None, None) => false,
        }
    }

    /// Queues a message, or hands it back.
    fn offer(&self, message: Bytes) -> Result<(), (Refusal, Bytes)> {
        match (self.node.peer(), self.node.link()) {
            (Some(peer), _) if peer.shared.askers.has_line(self.target()) => Err((Refusal::Held, message)),
            // By one way only, or messages could overtake each other.
            (Some(peer), _) => peer.offer(Some(self.node.life), self.pid, message),
            (None, Some(link)) if link.shared.askers.has_line(self.target()) => Err((Refusal::Held, message)),
            (None, Some(link)) => link
                .queue(self.pid, message)
                .map(|waiting| waiting.into_iter().for_each(|lane| link.rouse(lane))),
            (None, None) => {
                let reason = "its node is lost, and its address is not known here".to_owned();
                Err((Refusal::NoConnection(reason), message))
            }
        }
    }

    /// Tells the signal's sender that the node cannot be reached.
    fn lost(&self, proxy: Pid, signal: Signal, reason: String) -> Result<(), Signal> {
        let Some(system) = self.node.system() else { return Err(signal) };
        let reason = ExitReason::NoConnection(reason);
        match signal {
            Signal::Watch(monitor, watcher) => system.tell_watcher(monitor, watcher, proxy, &reason),
            Signal::Linked(near) => drop(system.exit_from(near, Some(proxy), reason, true)),
            other => return Err(other),
        }
        Ok(())
    }

    /// Lets the scheduler over there answer in the actor's place; refused while too many wait for that.
    fn ping(&self, link: Arc<Link>, proxy: Pid, from: Pid) -> Result<(), Signal> {
        let (Some(system), Some(answer)) = (self.node.system(), link.try_ping()) else {
            return Err(Signal::Ping(from));
        };
        link.clone().spawn(async move {
            if link.sign(answer).await.is_some() {
                system.signal(from, Signal::System(SystemMessage::Pong { from: proxy }));
            }
        });
        Ok(())
    }
}

impl Remote for Far {
    fn send(&self, proxy: Pid, message: Bytes) -> Result<(), SendError<Bytes>> {
        let len = message.len();
        self.offer(message).map_err(|refused| unsent(proxy, len, refused))
    }

    fn send_later(&self, proxy: Pid, message: Bytes, limit: Option<Duration>) -> LaterSend<'_> {
        let len = message.len();
        Box::pin(async move {
            let sent = match (self.node.peer(), self.node.link()) {
                (Some(peer), _) => {
                    peer.wait_to_send(Some(self.node.life), self.pid, Some(self.target()), message, limit)
                        .await
                }
                (None, Some(link)) => link.wait_to_send(message, limit, |message| self.offer(message)).await,
                (None, None) => self.offer(message),
            };
            sent.map_err(|refused| unsent(proxy, len, refused))
        })
    }

    fn ask(&self, message: Bytes, reply: Reply<Payload>, deadline: Option<Instant>) {
        let question = Question { from: current(), reply, deadline };
        let put = if self.has_line() {
            Err(Unasked { refusal: Refusal::Held, data: message, question })
        } else {
            self.put(message, question)
        };
        let Err(unasked) = put else { return };
        let (this, target) = (Self::new(self.node.clone(), self.pid), self.target());
        let put = move |data, question| this.put(data, question);
        match (self.node.peer(), self.node.link()) {
            (Some(peer), _) => {
                peer.shared.clone().let_wait(unasked, Some(target), |stay, unasked| async move {
                    peer.wait_to_ask(put, stay, unasked).await;
                })
            }
            (None, Some(link)) => link.wait_to_ask(unasked, target, put),
            (None, None) => unasked.refuse(),
        }
    }

    fn signal(&self, proxy: Pid, signal: Signal) -> Result<(), Signal> {
        let (link, far) = match self.link() {
            Ok(link) => (link, self.pid),
            Err(reason) => return self.lost(proxy, signal, reason),
        };
        match signal {
            Signal::Watch(monitor, watcher) => link.watch(proxy, far, monitor, Some(watcher)),
            Signal::Unwatch(monitor) => link.unwatch(monitor),
            Signal::Ping(from) => return self.ping(link, proxy, from),
            signal if !link.takes_links() => {
                let reason = "its node knows no links with actors of other nodes: update it".to_owned();
                return self.lost(proxy, signal, reason);
            }
            Signal::Linked(near) => link.bond(proxy, far, near),
            Signal::Unlinked(near) => link.unbond(proxy, far, near),
            Signal::Exit(ExitSignal { from: Some(near), reason, linked: true, .. }) => {
                link.bond_broke(far, near, &reason);
            }
            Signal::Exit(ExitSignal { from, reason, .. }) => link.exit(far, from, &reason),
            Signal::Kill => link.exit(far, current(), &ExitReason::Kill),
            Signal::Stop(reason) => link.stop(far, &reason),
            other => return Err(other),
        }
        Ok(())
    }

    fn takes_links(&self) -> bool {
        self.node.link().is_none_or(|link| link.takes_links())
    }

    fn reference(&self) -> Reference {
        let Life { node, incarnation } = self.node.life;
        Reference::new(self.node.addr(), Some((node, incarnation)), self.pid)
    }
}

/// The error around a message that was not taken.
pub(super) fn unsent(pid: Pid, len: usize, (refusal, message): (Refusal, Bytes)) -> SendError<Bytes> {
    match refusal {
        Refusal::Busy | Refusal::Held | Refusal::Unanswered => SendError::Full { pid, message },
        Refusal::Gone => SendError::NoProcess { pid, message },
        Refusal::TooLarge(max) => SendError::TooLarge { pid, len, max, message },
        Refusal::NoConnection(reason) => SendError::NoConnection { pid, reason: reason.into(), message },
        Refusal::Closed => is_lost(pid, message),
    }
}

/// The same around one that the node's own calls refused.
pub(super) fn refused(pid: Pid, error: RemoteSendError) -> SendError<Bytes> {
    match error {
        RemoteSendError::Busy { message, .. } => SendError::Full { pid, message },
        RemoteSendError::TooLarge { len, max, message } => SendError::TooLarge { pid, len, max, message },
        RemoteSendError::NoConnection { reason, message, .. } => {
            SendError::NoConnection { pid, reason: reason.into(), message }
        }
        RemoteSendError::Closed { message } => is_lost(pid, message),
    }
}

/// This node is no more.
pub(super) fn is_lost(pid: Pid, message: Bytes) -> SendError<Bytes> {
    SendError::NoConnection { pid, reason: "the node is shut down: make a new runtime".into(), message }
}
