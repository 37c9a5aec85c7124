//! The two ends of a connection, and what ends it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};

use super::pipe::{Failure, Pipe, PipeReceiver, PipeSender};
use crate::transport::{CloseCode, Connection, Lane, LaneClass, NodeAddr, PeerIdentity, TransportError};

/// Lanes that wait to be accepted; a further `open_lane` waits for room.
const LANE_BACKLOG: usize = 64;

/// A lane on its way to the side that accepts it.
type Waiting = (PipeSender, PipeReceiver);

pub(super) fn lane_queue() -> (mpsc::Sender<Waiting>, mpsc::Receiver<Waiting>) {
    mpsc::channel(LANE_BACKLOG)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dialler,
    Acceptor,
}

/// Why a connection is over. The first reason stays.
#[derive(Clone, Debug)]
enum End {
    Cut,
    Closed { by: Side, code: CloseCode, reason: String },
}

impl End {
    fn seen_by(&self, side: Side) -> TransportError {
        match self {
            Self::Cut => TransportError::Lost("the network was cut".into()),
            Self::Closed { by, .. } if *by == side => TransportError::ClosedLocally,
            Self::Closed { code, reason, .. } => {
                TransportError::ClosedByPeer { code: code.as_u16().into(), reason: reason.clone() }
            }
        }
    }

    /// What the two ends of a pipe that `reader` reads are told.
    fn failure(&self, reader: Side) -> Failure {
        let writer = if reader == Side::Dialler { Side::Acceptor } else { Side::Dialler };
        Failure { reader: self.seen_by(reader), writer: self.seen_by(writer) }
    }

    fn is_in_good_order(&self) -> bool {
        matches!(self, Self::Closed { code: CloseCode::Normal | CloseCode::GoingAway, .. })
    }
}

/// What the two ends share.
#[derive(Debug, Default)]
pub(super) struct Link {
    ended: watch::Sender<Option<End>>,
    /// Every pipe with the side that reads it.
    pipes: Mutex<Vec<(Side, Weak<Pipe>)>>,
}

impl Link {
    /// Breaks the connection. False if it was over already.
    pub(super) fn cut(&self) -> bool {
        self.end(End::Cut)
    }

    /// Ends the connection and fails all its lanes.
    fn end(&self, end: End) -> bool {
        let first = self.set_ended(end.clone());
        if first {
            for (reader, pipe) in self.pipes().drain(..) {
                if let Some(pipe) = pipe.upgrade() {
                    pipe.fail(end.failure(reader));
                }
            }
        }
        first
    }

    fn set_ended(&self, end: End) -> bool {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(end);
            first
        })
    }

    /// Registers a new pipe, unless the connection is over.
    fn add_pipe(&self, reader: Side) -> Result<Arc<Pipe>, End> {
        let pipe = Arc::new(Pipe::default());
        let mut pipes = self.pipes();
        // Under the lock of `pipes`, which `end` takes after it set the reason: so a pipe is either
        // refused here or found there.
        if let Some(end) = self.ended.borrow().clone() {
            return Err(end);
        }
        pipes.retain(|(_, pipe)| pipe.strong_count() > 0);
        pipes.push((reader, Arc::downgrade(&pipe)));
        Ok(pipe)
    }

    fn pipes(&self) -> MutexGuard<'_, Vec<(Side, Weak<Pipe>)>> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ended(&self) -> End {
        let mut ended = self.ended.subscribe();
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        end.unwrap_or(End::Cut)
    }
}

/// Shared by everything that one side holds of a connection. When the last of it is dropped, the
/// peer learns that this side is gone; what it finished writing can still be read.
#[derive(Debug)]
pub(super) struct Handle {
    link: Arc<Link>,
    side: Side,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let reason = "every handle was dropped".into();
        self.link.set_ended(End::Closed { by: self.side, code: CloseCode::Normal, reason });
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct MemoryConnection {
    handle: Arc<Handle>,
    peer: NodeAddr,
    /// Where the dialler puts the lanes it opens.
    opens: Option<mpsc::Sender<Waiting>>,
    /// Where the acceptor finds them.
    accepts: Option<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>,
}

impl MemoryConnection {
    pub(super) fn new(
        link: Arc<Link>,
        side: Side,
        peer: NodeAddr,
        opens: Option<mpsc::Sender<Waiting>>,
        accepts: Option<mpsc::Receiver<Waiting>>,
    ) -> Self {
        let accepts = accepts.map(tokio::sync::Mutex::new);
        Self { handle: Arc::new(Handle { link, side }), peer, opens, accepts }
    }

    fn link(&self) -> &Link {
        &self.handle.link
    }

    fn error(&self, end: &End) -> TransportError {
        end.seen_by(self.handle.side)
    }

    fn lane(&self, (mut sender, mut receiver): Waiting) -> Lane {
        sender.handle = Some(self.handle.clone());
        receiver.handle = Some(self.handle.clone());
        (Box::new(sender), Box::new(receiver))
    }

    /// Both ends of a new lane: ours, and the acceptor's.
    fn new_lane(&self) -> Result<(Waiting, Waiting), TransportError> {
        let there = self.link().add_pipe(Side::Acceptor).map_err(|end| self.error(&end))?;
        let back = self.link().add_pipe(Side::Dialler).map_err(|end| self.error(&end))?;
        Ok((ends(&there, &back), ends(&back, &there)))
    }

    async fn next_waiting(&self) -> Option<Waiting> {
        match &self.accepts {
            Some(lanes) => lanes.lock().await.recv().await,
            None => std::future::pending().await,
        }
    }
}

fn ends(out: &Arc<Pipe>, back: &Arc<Pipe>) -> Waiting {
    (PipeSender { pipe: out.clone(), handle: None }, PipeReceiver { pipe: back.clone(), handle: None })
}

#[async_trait]
impl Connection for MemoryConnection {
    async fn open_lane(&self, _class: LaneClass) -> Result<Lane, TransportError> {
        let Some(opens) = &self.opens else {
            return Err(TransportError::Refused("only the side that dialled opens lanes".into()));
        };
        let place = tokio::select! {
            biased;
            end = self.link().ended() => return Err(self.error(&end)),
            place = opens.reserve() => place.map_err(|_| {
                TransportError::ClosedByPeer { code: 0, reason: "it takes no more lanes".into() }
            })?,
        };
        let (ours, theirs) = self.new_lane()?;
        place.send(theirs);
        Ok(self.lane(ours))
    }

    async fn accept_lane(&self) -> Result<Option<Lane>, TransportError> {
        let ended = async {
            let end = self.link().ended().await;
            if end.is_in_good_order() { Ok(None) } else { Err(self.error(&end)) }
        };
        tokio::select! {
            biased;
            Some(lane) = self.next_waiting() => Ok(Some(self.lane(lane))),
            end = ended => end,
        }
    }

    fn peer_identity(&self) -> Option<PeerIdentity> {
        None
    }

    fn peer_addr(&self) -> NodeAddr {
        self.peer.clone()
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.link().end(End::Closed { by: self.handle.side, code, reason: reason.to_owned() });
    }

    async fn closed(&self) -> TransportError {
        self.error(&self.link().ended().await)
    }
}
