//! The connection to one peer, made when a lane is wanted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedSemaphorePermit;

use super::shared::Shared;
use crate::transport::{CloseCode, Connection, Lane, LaneClass, NodeAddr, PeerIdentity};

pub(super) struct Dialler {
    addr: NodeAddr,
    shared: Arc<Shared>,
    current: Mutex<Option<Dialled>>,
    /// Attempts wait for each other: one dial at a time per peer.
    dialling: tokio::sync::Mutex<()>,
}

/// A connection, and its place among the connections of the node.
#[derive(Clone)]
pub(super) struct Dialled {
    pub(super) connection: Arc<dyn Connection>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Dialled {
    /// Waits until the transport says that the connection is over.
    pub(super) async fn closed(&self) {
        self.connection.closed().await;
    }
}

impl Dialler {
    pub(super) fn new(addr: NodeAddr, shared: Arc<Shared>) -> Self {
        Self { addr, shared, current: Mutex::new(None), dialling: tokio::sync::Mutex::new(()) }
    }

    /// Opens a lane, over the connection that is there or over a new one. The error says what
    /// happened.
    pub(super) async fn open_lane(&self, class: LaneClass) -> Result<(Dialled, Lane), String> {
        let _one_at_a_time = self.dialling.lock().await;
        let current = self.current().clone();
        if let Some(dialled) = current
            && let Ok(lane) = self.lane(&dialled, class).await
        {
            return Ok((dialled, lane));
        }
        let dialled = self.dial().await?;
        let lane = self.lane(&dialled, class).await?;
        *self.current() = Some(dialled.clone());
        Ok((dialled, lane))
    }

    /// Ends the connection; the next lane makes a new one.
    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        if let Some(dialled) = self.current().take() {
            dialled.connection.close(code, reason);
        }
    }

    /// Lets go of a connection that is over, and of its place among the connections of the node.
    pub(super) async fn release(&self, dialled: &Dialled) {
        let is_over = tokio::select! {
            biased;
            () = dialled.closed() => true,
            () = std::future::ready(()) => false,
        };
        if is_over {
            let _over =
                self.current().take_if(|current| Arc::ptr_eq(&current.connection, &dialled.connection));
        }
    }

    /// Lets go of a connection that somebody else has taken over.
    pub(super) fn forget(&self, dialled: &Dialled) {
        let _taken = self.current().take_if(|current| Arc::ptr_eq(&current.connection, &dialled.connection));
    }

    /// Who the peer proved to be, if it is connected and the transport knows.
    pub(super) fn identity(&self) -> Option<PeerIdentity> {
        self.current().as_ref()?.connection.peer_identity()
    }

    fn current(&self) -> MutexGuard<'_, Option<Dialled>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn dial(&self) -> Result<Dialled, String> {
        let Ok(place) = self.shared.dialled.clone().try_acquire_owned() else {
            let most = self.shared.config.max_connections;
            return Err(format!("{most} connections are open, more are not allowed: raise max_connections"));
        };
        let limit = self.shared.config.connect_timeout;
        match self.shared.within(limit, self.shared.transport.connect(&self.addr)).await {
            Ok(Ok(connection)) => Ok(Dialled { connection: connection.into(), _place: Arc::new(place) }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no connection within {limit:?}")),
        }
    }

    async fn lane(&self, dialled: &Dialled, class: LaneClass) -> Result<Lane, String> {
        let limit = self.shared.config.connect_timeout;
        match self.shared.within(limit, dialled.connection.open_lane(class)).await {
            Ok(Ok(lane)) => Ok(lane),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no lane within {limit:?}")),
        }
    }
}
