//! A connection: the sockets that one `connect` led to, or one accepted socket.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use myrmidon::transport::{CloseCode, Connection, Lane, LaneClass, NodeAddr, PeerIdentity, TransportError};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::TcpConfig;
use crate::lane::lane;
use crate::socket::{Socket, is_failure};

/// Dials the first of `candidates` that answers; the error says what each of them said.
pub(crate) async fn dial(
    candidates: &[SocketAddr],
    config: &TcpConfig,
) -> Result<(TcpStream, SocketAddr), String> {
    let mut refusals = vec![];
    for &candidate in candidates {
        match dial_one(candidate, config).await {
            Ok(stream) => return Ok((stream, candidate)),
            Err(error) if candidates.len() == 1 => return Err(error.to_string()),
            Err(error) => refusals.push(format!("{candidate}: {error}")),
        }
    }
    Err(refusals.join("; "))
}

async fn dial_one(remote: SocketAddr, config: &TcpConfig) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(remote).await?;
    // When nobody listens on a port of the ephemeral range, the kernel may choose that very port to
    // dial from, and TCP then connects the socket to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    config.apply(&stream)?;
    Ok(stream)
}

/// What further lanes need.
pub(crate) struct Dialler {
    pub(crate) remote: SocketAddr,
    pub(crate) config: TcpConfig,
}

pub(crate) struct TcpConnection {
    link: Arc<Link>,
    peer: NodeAddr,
    /// The socket that made the connection, until it is opened or accepted as a lane.
    first: Mutex<Option<Socket>>,
    /// None on the accepting side.
    dialler: Option<Dialler>,
}

impl TcpConnection {
    pub(crate) fn dialled(stream: TcpStream, peer: NodeAddr, dialler: Dialler) -> Self {
        Self::new(stream, peer, Some(dialler))
    }

    pub(crate) fn accepted(stream: TcpStream, peer: NodeAddr) -> Self {
        Self::new(stream, peer, None)
    }

    fn new(stream: TcpStream, peer: NodeAddr, dialler: Option<Dialler>) -> Self {
        let link = Arc::new(Link { reopens: dialler.is_some(), ..Link::default() });
        link.members().live = 1;
        let first = Mutex::new(Some(Socket::new(stream, link.clone())));
        Self { link, peer, first, dialler }
    }

    /// The lane of the first socket, once.
    fn first_lane(&self) -> Option<Lane> {
        let socket = self.first.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (lane, socket) = lane(socket);
        self.link.watch_over(&socket);
        Some(lane)
    }
}

#[async_trait]
impl Connection for TcpConnection {
    async fn open_lane(&self, _class: LaneClass) -> Result<Lane, TransportError> {
        let Some(Dialler { remote, config }) = &self.dialler else {
            return Err(TransportError::Refused("only the side that dialled opens lanes".into()));
        };
        self.link.check()?;
        if let Some(lane) = self.first_lane() {
            return Ok(lane);
        }
        let failed = |reason| TransportError::Connect { addr: self.peer.clone(), reason };
        let (stream, _) = dial(&[*remote], config).await.map_err(failed)?;
        self.link.join()?;
        let (lane, socket) = lane(Socket::new(stream, self.link.clone()));
        self.link.watch_over(&socket);
        Ok(lane)
    }

    async fn accept_lane(&self) -> Result<Option<Lane>, TransportError> {
        if self.dialler.is_none()
            && let Some(lane) = self.first_lane()
        {
            return Ok(Some(lane));
        }
        match self.closed().await {
            reason if is_failure(&reason) => Err(reason),
            _in_good_order => Ok(None),
        }
    }

    fn peer_identity(&self) -> Option<PeerIdentity> {
        None
    }

    fn peer_addr(&self) -> NodeAddr {
        self.peer.clone()
    }

    /// TCP carries no code and no reason: the peer reads the end of the stream.
    fn close(&self, _code: CloseCode, _reason: &str) {
        self.link.close();
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(socket) = first {
            socket.close();
        }
    }

    /// Returns when the connection was closed here, or when its last socket broke or was ended by the
    /// peer. A socket whose lane nobody reads is not noticed to be broken.
    async fn closed(&self) -> TransportError {
        let mut ended = self.link.ended.subscribe();
        let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
        end.unwrap_or(TransportError::ClosedLocally)
    }
}

/// What the sockets of one connection share.
#[derive(Default)]
pub(crate) struct Link {
    /// The dialler can open a lane again after it dropped the last one; the acceptor cannot.
    reopens: bool,
    members: Mutex<Members>,
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
    /// Counts one more socket, unless the connection has ended.
    fn join(&self) -> Result<(), TransportError> {
        let mut members = self.members();
        self.check()?;
        members.live += 1;
        Ok(())
    }

    fn check(&self) -> Result<(), TransportError> {
        self.ended.borrow().clone().map_or(Ok(()), Err)
    }

    /// Lets `close` reach the socket of a lane.
    fn watch_over(&self, socket: &Arc<Socket>) {
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

    fn close(&self) {
        let members = self.members();
        self.set_ended(TransportError::ClosedLocally);
        let lanes: Vec<_> = members.lanes.iter().filter_map(Weak::upgrade).collect();
        drop(members);
        lanes.iter().for_each(|socket| socket.close());
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
