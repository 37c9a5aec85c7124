//! The accepting side: listeners, connections, and the bounds on both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use super::serve_lane::{LaneServer, Refused};
use super::shared::{Shared, Stage, now};
use super::throttle::{self, TokenBucket};
use crate::transport::{CloseCode, Connection, Lane, Listener, TransportError};

/// Lanes of one connection at once; further ones wait to be accepted.
const MAX_LANES: usize = 64;

/// One node may have this part of the connections, and so many in any case.
const PART_OF_ONE: usize = 8;
const LEAST_OF_ONE: usize = 16;

/// A connection that was accepted.
#[derive(Clone)]
pub(super) struct Accepted {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: Arc<dyn Connection>,
    /// Tells it from every other.
    pub(super) serial: u64,
    /// The rate of questions, shared by its lanes.
    pub(super) questions: Arc<Mutex<TokenBucket>>,
    /// The rate at which the peer resets lanes.
    pub(super) resets: Arc<Mutex<TokenBucket>>,
}

impl Accepted {
    fn new(shared: Arc<Shared>, connection: Arc<dyn Connection>) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let questions = Arc::new(throttle::questions(now()));
        let resets = Arc::new(throttle::resets(now()));
        Self { shared, connection, serial: SERIAL.fetch_add(1, Ordering::Relaxed), questions, resets }
    }
}

/// Accepts until the node drains. `ended` is called when nothing listens any more.
pub(super) async fn accept(
    shared: Arc<Shared>,
    mut listener: Box<dyn Listener>,
    ended: impl FnOnce() + Send,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.at(Stage::Draining) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(connection) => admit(&shared, connection.into()),
            Err(error) => {
                let addr = listener.local_addr();
                tracing::error!(%addr, %error, "the listener broke: no further node can connect here");
                break;
            }
        }
    }
    ended();
}

/// Serves the connection if there is room for it (L07).
fn admit(shared: &Arc<Shared>, connection: Arc<dyn Connection>) {
    match shared.accepted.clone().try_acquire_owned() {
        Ok(place) => {
            let served = serve(Accepted::new(shared.clone(), connection));
            shared.spawn(async move {
                let _place = place;
                served.await;
            });
        }
        Err(_) => {
            let most = shared.config.max_connections;
            complain(shared, connection.as_ref(), &format!("refused: {most} connections are open"));
            connection.close(CloseCode::Overloaded, "too many connections");
        }
    }
}

/// Serves the lanes of one connection until it ends, or one of its lanes says something bad.
async fn serve(accepted: Accepted) {
    let Accepted { shared, connection, .. } = &accepted;
    let mut lanes = JoinSet::new();
    let mut counted = None;
    let serve_lane = |lane| LaneServer::new(accepted.clone()).run(lane);
    let mut more = true;
    while more || !lanes.is_empty() {
        tokio::select! {
            biased;
            Some(ended) = lanes.join_next() => {
                if let Ok(Err(refused)) = ended {
                    return refuse(shared, connection.as_ref(), &refused);
                }
            }
            lane = connection.accept_lane(), if more && lanes.len() < MAX_LANES => {
                match next_lane(shared, connection.as_ref(), lane) {
                    Some(lane) => {
                        if counted.is_none()
                            && let Some(identity) = connection.peer_identity()
                        {
                            let most = (shared.config.max_connections / PART_OF_ONE).max(LEAST_OF_ONE);
                            counted = shared.identities.place(identity, most);
                            if counted.is_none() {
                                let reason = format!("{most} connections with that node are open");
                                let code = CloseCode::Overloaded;
                                return refuse(shared, connection.as_ref(), &Refused { code, reason });
                            }
                        }
                        drop(lanes.spawn(serve_lane(lane)));
                    }
                    None => more = false,
                }
            }
            () = shared.at(Stage::Closed), if more => more = false,
        }
    }
    connection.close(CloseCode::Normal, "");
}

/// A stranger who was refused learns as little as the transport allows, so the reason is told here.
fn next_lane(
    shared: &Shared,
    connection: &dyn Connection,
    accepted: Result<Option<Lane>, TransportError>,
) -> Option<Lane> {
    accepted.unwrap_or_else(|error| {
        match &error {
            TransportError::Handshake { reason, .. } => complain(shared, connection, reason),
            _ => tracing::debug!(%error, "a connection ended"),
        }
        None
    })
}

fn refuse(shared: &Shared, connection: &dyn Connection, refused: &Refused) {
    match refused.code {
        CloseCode::Normal => {}
        // No fault of a peer: this node has dialled an address of its own, a node has another link, or this one leaves.
        CloseCode::Duplicate | CloseCode::GoingAway => {
            tracing::debug!(reason = refused.reason, "a connection is not needed");
        }
        _ => complain(shared, connection, &refused.reason),
    }
    connection.close(refused.code, &refused.reason);
}

/// At most ten lines a second about one host (L27).
fn complain(shared: &Shared, connection: &dyn Connection, reason: &str) {
    let peer = connection.peer_addr();
    if let Some(left_out) = shared.log.admit(peer.host()) {
        tracing::warn!(%peer, reason, left_out, "a peer was cut off");
    }
}
