//! A connection, from the first packet to the close.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use myrmidon::transport::{
    CloseCode, Connection, Lane, LaneClass, Level, NodeAddr, PeerIdentity, TransportError,
};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error;
use crate::handshake::Verified;
use crate::lane;

/// How far the handshake is. It changes once.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Shaking,
    Up(Arc<Verified>),
    Failed(TransportError),
}

/// One end of a QUIC connection.
#[derive(Debug)]
pub(crate) struct QuicConnection {
    peer: SocketAddr,
    state: watch::Receiver<State>,
    /// The task that waits for the handshake of an accepted connection; `None` on the dialling side.
    shaking: Option<AbortHandle>,
}

impl QuicConnection {
    pub(crate) fn dialled(peer: SocketAddr, verified: Verified) -> Self {
        Self { peer, state: watch::channel(State::Up(Arc::new(verified))).1, shaking: None }
    }

    pub(crate) fn accepted(peer: SocketAddr, state: watch::Receiver<State>, shaking: AbortHandle) -> Self {
        Self { peer, state, shaking: Some(shaking) }
    }

    /// The connection once its handshake is done.
    async fn up(&self) -> Result<Arc<Verified>, TransportError> {
        let mut state = self.state.clone();
        match state.wait_for(|state| !matches!(state, State::Shaking)).await.as_deref() {
            Ok(State::Up(verified)) => Ok(verified.clone()),
            Ok(State::Failed(error)) => Err(error.clone()),
            // The handshake was abandoned by `close`.
            Ok(State::Shaking) | Err(_) => Err(TransportError::ClosedLocally),
        }
    }

    fn if_up(&self) -> Option<Arc<Verified>> {
        match &*self.state.borrow() {
            State::Up(verified) => Some(verified.clone()),
            _ => None,
        }
    }

    fn abandon_handshake(&self) {
        if let Some(shaking) = &self.shaking {
            shaking.abort();
        }
    }
}

#[async_trait]
impl Connection for QuicConnection {
    async fn open_lane(&self, class: LaneClass) -> Result<Lane, TransportError> {
        if self.shaking.is_some() {
            return Err(TransportError::Refused("only the side that dialled opens lanes".to_owned()));
        }
        let quinn = &self.up().await?.quinn;
        let streams = quinn.open_bi().await.map_err(|e| error::ended(&e))?;
        // Fails only if the stream is over already, which its first use will tell.
        let _ = streams.0.set_priority(lane::priority(class));
        Ok(lane::lane(quinn, streams))
    }

    async fn accept_lane(&self) -> Result<Option<Lane>, TransportError> {
        let quinn = &self.up().await?.quinn;
        match quinn.accept_bi().await {
            Ok(streams) => Ok(Some(lane::lane(quinn, streams))),
            Err(end) => match error::ended(&end) {
                end if error::is_in_good_order(&end) => Ok(None),
                end => Err(end),
            },
        }
    }

    fn peer_identity(&self) -> Option<PeerIdentity> {
        self.if_up().map(|verified| verified.peer.clone())
    }

    fn level(&self) -> Option<Level> {
        self.if_up().map(|verified| verified.level)
    }

    fn carries_all_lanes(&self) -> bool {
        true
    }

    fn peer_addr(&self) -> NodeAddr {
        NodeAddr::from(SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port()))
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.abandon_handshake();
        if let Some(verified) = self.if_up() {
            verified.quinn.close(error::code(code), reason.as_bytes());
        }
    }

    async fn closed(&self) -> TransportError {
        match self.up().await {
            Ok(verified) => error::ended(&verified.quinn.closed().await),
            Err(error) => error,
        }
    }
}

impl Drop for QuicConnection {
    fn drop(&mut self) {
        self.abandon_handshake();
    }
}
