//! The accepting side: listeners, connections, and the bounds on both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::lock;
use super::serve_lane::{LaneServer, Refused};
use super::shared::{Shared, Stage, now};
use super::tally::Place;
use super::throttle::{self, TokenBucket};
use crate::transport::{CloseCode, Connection, Lane, Listener, PeerIdentity, TransportError};

/// Lanes of one connection at once; further ones wait to be accepted.
const MAX_LANES: usize = 64;

/// One node may have this part of the connections, and so many in any case.
const PART_OF_ONE: usize = 8;
const LEAST_OF_ONE: usize = 16;

/// So many at once of those that are refused are told why, where closing does not say it.
pub(super) const TOLD: usize = 64;
/// What they are told.
const TOO_MANY: &str =
    "as many nodes as may be are connected: try again later, or raise max_connections there";

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
    /// It is there to be told that there are too many.
    is_turned_away: bool,
    places: Arc<Mutex<Places>>,
}

/// What a connection takes of the bounds of the node.
#[derive(Default)]
struct Places {
    /// Among all; `None` once it is a lane of a link, which has a place of its own.
    connection: Option<OwnedSemaphorePermit>,
    /// Among those of its node.
    identity: Option<Place<PeerIdentity>>,
}

impl Accepted {
    fn new(
        shared: Arc<Shared>,
        connection: Arc<dyn Connection>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let questions = Arc::new(throttle::questions(now()));
        let resets = Arc::new(throttle::resets(now()));
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let is_turned_away = place.is_none();
        let places = Arc::new(Mutex::new(Places { connection: place, identity: None }));
        Self { shared, connection, serial, questions, resets, is_turned_away, places }
    }

    /// An error if it is not served, which the peer is to hear.
    pub(super) fn admitted(&self) -> Result<(), Refused> {
        if self.is_turned_away {
            return Err(Refused { code: CloseCode::Overloaded, reason: TOO_MANY.to_owned() });
        }
        Ok(())
    }

    /// Its first lane has joined a link. Where that is all that it brings it takes no place: so the bound is one of
    /// nodes, however many connections a link is made of.
    pub(super) fn has_joined(&self) {
        if !self.connection.carries_all_lanes() {
            *lock(&self.places) = Places::default();
        }
    }

    fn has_place(&self) -> bool {
        lock(&self.places).connection.is_some()
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
    if let Ok(place) = shared.accepted.clone().try_acquire_owned() {
        return shared.spawn(serve(Accepted::new(shared.clone(), connection, Some(place))));
    }
    let most = shared.config.max_connections;
    complain(shared, connection.as_ref(), &format!("refused: {most} connections are open"));
    let told = shared.told.clone().try_acquire_owned().ok().filter(|_| !connection.carries_all_lanes());
    let Some(told) = told else { return connection.close(CloseCode::Overloaded, TOO_MANY) };
    let accepted = Accepted::new(shared.clone(), connection, None);
    shared.spawn(async move {
        turn_away(accepted).await;
        drop(told);
    });
}

/// Lets the peer come as far as it has to for hearing that there are too many.
async fn turn_away(accepted: Accepted) {
    let Accepted { shared, connection, .. } = &accepted;
    let told = async {
        if let Ok(Some(lane)) = connection.accept_lane().await {
            // It breaks off, or is refused.
            let _ = LaneServer::new(accepted.clone(), false).run(lane).await;
        }
    };
    tokio::select! {
        biased;
        () = shared.at(Stage::Draining) => {}
        _ = timeout(shared.config.connect_timeout, told) => {}
    }
    connection.close(CloseCode::Overloaded, TOO_MANY);
}

/// Serves the lanes of one connection until it ends, or one of its lanes says something bad.
async fn serve(accepted: Accepted) {
    let Accepted { shared, connection, .. } = &accepted;
    let mut lanes = JoinSet::new();
    let mut is_first = true;
    let mut more = true;
    while more || !lanes.is_empty() {
        tokio::select! {
            biased;
            Some(ended) = lanes.join_next() => {
                if let Ok(Err(refused)) = ended {
                    return refuse(shared, connection.as_ref(), &refused);
                }
                more &= accepted.has_place();
            }
            lane = connection.accept_lane(), if more && lanes.len() < MAX_LANES && accepted.has_place() => {
                match next_lane(shared, connection.as_ref(), lane) {
                    Some(lane) => {
                        if is_first && let Err(refused) = count(&accepted) {
                            return refuse(shared, connection.as_ref(), &refused);
                        }
                        lanes.spawn(LaneServer::new(accepted.clone(), is_first).run(lane));
                        is_first = false;
                    }
                    None => more = false,
                }
            }
            () = shared.at(Stage::Closed), if more => more = false,
        }
    }
    connection.close(CloseCode::Normal, "");
}

/// Counts a connection of a node that has proved who it is, unless it has as many as it may.
fn count(accepted: &Accepted) -> Result<(), Refused> {
    let Some(identity) = accepted.connection.peer_identity() else { return Ok(()) };
    let most = (accepted.shared.config.max_connections / PART_OF_ONE).max(LEAST_OF_ONE);
    let place = accepted.shared.identities.place(identity, most).ok_or_else(|| {
        let reason = format!("{most} connections with that node are open");
        Refused { code: CloseCode::Overloaded, reason }
    })?;
    lock(&accepted.places).identity = Some(place);
    Ok(())
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
