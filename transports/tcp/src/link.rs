//! What the sockets of one connection share, and when the connection is over.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use myrmidon::transport::admission::Known;
use myrmidon::transport::{NodeAddr, TransportError};
use tokio::sync::watch;

use crate::socket::{Socket, is_failure};

/// What the sockets of one connection share.
pub(crate) struct Link {
    /// The other end, for errors.
    pub(crate) peer: NodeAddr,
    /// The dialler can open a lane again after it dropped the last one; the acceptor cannot.
    reopens: bool,
    members: Mutex<Members>,
    /// That the acceptor's peer has proved who it is, as long as it is connected.
    known: OnceLock<Known>,
    /// Set once, under the lock of `members`.
    ended: watch::Sender<Option<TransportError>>,
}

#[derive(Default)]
struct Members {
    /// Sockets that are not over.
    live: usize,
    /// Those that became lanes, for `close`.
    lanes: Vec<Weak<Socket>>,
    /// The first loss, which says more than the ends of the other sockets.
    lost: Option<TransportError>,
}

impl Link {
    /// With its first socket.
    pub(crate) fn new(peer: NodeAddr, reopens: bool) -> Self {
        let members = Mutex::new(Members { live: 1, ..Members::default() });
        Self { peer, reopens, members, known: OnceLock::new(), ended: watch::Sender::default() }
    }

    /// The peer has proved who it is.
    pub(crate) fn keep(&self, known: Known) {
        // Set once, by the one handshake.
        let _ = self.known.set(known);
    }

    /// Counts one more socket, unless the connection has ended.
    pub(crate) fn join(&self) -> Result<(), TransportError> {
        let mut members = self.members();
        self.check()?;
        members.live += 1;
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), TransportError> {
        self.ended.borrow().clone().map_or(Ok(()), Err)
    }

    /// Lets `close` reach the socket of a lane.
    pub(crate) fn watch_over(&self, socket: &Arc<Socket>) {
        let mut members = self.members();
        members.lanes.retain(|lane| lane.strong_count() > 0);
        members.lanes.push(Arc::downgrade(socket));
        let closed = self.check().is_err();
        drop(members);
        if closed {
            socket.close();
        }
    }

    /// Takes note that a socket is over; the connection ends with the last one, unless that was
    /// dropped here and can be replaced.
    pub(crate) fn socket_over(&self, reason: TransportError) {
        let mut members = self.members();
        members.live -= 1;
        if is_failure(&reason) {
            members.lost.get_or_insert(reason.clone());
        }
        let replaceable = self.reopens && matches!(reason, TransportError::ClosedLocally);
        if members.live == 0 && !replaceable {
            self.set_ended(members.lost.clone().unwrap_or(reason));
        }
    }

    pub(crate) fn close(&self) {
        let members = self.members();
        self.set_ended(TransportError::ClosedLocally);
        let lanes: Vec<_> = members.lanes.iter().filter_map(Weak::upgrade).collect();
        drop(members);
        lanes.iter().for_each(|socket| socket.close());
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) -> TransportError {
        let mut ended = self.ended.subscribe();
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        end.unwrap_or(TransportError::ClosedLocally)
    }

    fn set_ended(&self, reason: TransportError) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(reason);
            first
        });
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
