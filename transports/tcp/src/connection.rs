//! A connection: the sockets that one `connect` led to, or one accepted socket.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use myrmidon::transport::admission::HalfOpen;
use myrmidon::transport::{
    CloseCode, Connection, Lane, LaneClass, Level, NodeAddr, PeerIdentity, TransportError,
};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::dial::Dialler;
use crate::handshake::{State, shake};
use crate::lane::lane;
use crate::link::Link;
use crate::socket::{Socket, is_failure};
use crate::stream::Stream;
use crate::tls::{Proof, Tls};

pub(crate) struct TcpConnection {
    link: Arc<Link>,
    first: Arc<First>,
    /// None on the accepting side.
    dialler: Option<Dialler>,
    state: watch::Receiver<State>,
    /// The task of the handshake, at an acceptor with TLS.
    shaking: Option<AbortHandle>,
}

/// The socket that made the connection, until it is opened or accepted as a lane.
#[derive(Default)]
pub(crate) struct First(Mutex<Option<Socket>>);

impl First {
    pub(crate) fn put(&self, socket: Socket) {
        *self.socket() = Some(socket);
    }

    fn take(&self) -> Option<Socket> {
        self.socket().take()
    }

    fn socket(&self) -> MutexGuard<'_, Option<Socket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TcpConnection {
    pub(crate) fn dialled(stream: Stream, proof: Option<Proof>, dialler: Dialler) -> Self {
        let link = Arc::new(Link::new(dialler.addr.clone(), true));
        Self::done(stream, link, proof, Some(dialler))
    }

    pub(crate) fn accepted(stream: TcpStream, peer: NodeAddr) -> Self {
        Self::done(Stream::Plain(stream), Arc::new(Link::new(peer, false)), None, None)
    }

    /// Accepted, with the handshake still to come.
    pub(crate) fn accepted_with_tls(
        stream: TcpStream,
        peer: NodeAddr,
        tls: Arc<Tls>,
        place: Option<HalfOpen>,
    ) -> Self {
        let (link, first) = (Arc::new(Link::new(peer, false)), Arc::new(First::default()));
        let (state, task) = shake(stream, tls, place, first.clone(), link.clone());
        Self { link, first, dialler: None, state, shaking: Some(task) }
    }

    fn done(stream: Stream, link: Arc<Link>, proof: Option<Proof>, dialler: Option<Dialler>) -> Self {
        let first = First(Mutex::new(Some(Socket::new(stream, link.clone()))));
        let state = watch::channel(State::Done(proof)).1;
        Self { link, first: Arc::new(first), dialler, state, shaking: None }
    }

    /// Waits until the handshake is over.
    async fn shaken(&self) -> Result<(), TransportError> {
        let mut state = self.state.clone();
        tokio::select! {
            biased;
            state = state.wait_for(|state| !matches!(state, State::Shaking)) => match state.as_deref() {
                Ok(State::Failed(error)) => Err(error.clone()),
                Ok(_) => Ok(()),
                // It was given up by `close`.
                Err(_) => Err(TransportError::ClosedLocally),
            },
            _ = self.link.ended() => Ok(()),
        }
    }

    fn proof(&self) -> Option<Proof> {
        match &*self.state.borrow() {
            State::Done(proof) => proof.clone(),
            State::Shaking | State::Failed(_) => None,
        }
    }

    /// The lane of the first socket, once.
    fn first_lane(&self) -> Option<Lane> {
        let (lane, socket) = lane(self.first.take()?);
        self.link.watch_over(&socket);
        Some(lane)
    }
}

#[async_trait]
impl Connection for TcpConnection {
    async fn open_lane(&self, _class: LaneClass) -> Result<Lane, TransportError> {
        let Some(dialler) = &self.dialler else {
            return Err(TransportError::Refused("only the side that dialled opens lanes".into()));
        };
        self.link.check()?;
        if let Some(lane) = self.first_lane() {
            return Ok(lane);
        }
        let stream = dialler.further().await?;
        self.link.join()?;
        let (lane, socket) = lane(Socket::new(stream, self.link.clone()));
        self.link.watch_over(&socket);
        Ok(lane)
    }

    async fn accept_lane(&self) -> Result<Option<Lane>, TransportError> {
        if self.dialler.is_none() {
            self.shaken().await?;
            if let Some(lane) = self.first_lane() {
                return Ok(Some(lane));
            }
        }
        match self.closed().await {
            reason if is_failure(&reason) => Err(reason),
            _in_good_order => Ok(None),
        }
    }

    fn peer_identity(&self) -> Option<PeerIdentity> {
        self.proof().map(|proof| proof.peer)
    }

    fn level(&self) -> Option<Level> {
        self.proof().map(|proof| proof.level)
    }

    fn peer_addr(&self) -> NodeAddr {
        self.link.peer.clone()
    }

    /// TCP carries no code and no reason: the peer reads the end of the stream.
    fn close(&self, _code: CloseCode, _reason: &str) {
        self.link.close();
        if let Some(shaking) = &self.shaking {
            shaking.abort();
        }
        if let Some(socket) = self.first.take() {
            socket.close();
        }
    }

    /// Returns when the connection was closed here, or when its last socket broke or was ended by the
    /// peer. A socket whose lane nobody reads is not noticed to be broken.
    async fn closed(&self) -> TransportError {
        self.link.ended().await
    }
}

impl Drop for TcpConnection {
    /// A handshake that nobody waits for leads nowhere.
    fn drop(&mut self) {
        if let Some(shaking) = &self.shaking {
            shaking.abort();
        }
    }
}
