//! The mesh over any transport.
//!
//! ```text
//! try_send/send/resolve ─► Peer (an address: gate, and a queue while there is no connection)
//!     level 1 ─► DataLane ─► transport              level 2 ─► Link (queues, credit, lanes) ─► transport
//! monitor/ping/is_up ────► Watch (who wants to know)
//!     level 1 ─► watcher + Heartbeat clock          level 2 ─► Link (MONITOR, DOWN, its own clock)
//! transport ─► serve (connections) ─► LaneServer (level 1) ─► LocalNode
//!                                         └── HELLO, LANE ─► Link ─► LocalNode
//! ```
//!
//! A peer's level is found out when it is dialled (`link::dial`). Two nodes of ours share one link,
//! whoever dialled it.
//!
//! Decisions are made by structures that take the time as an argument (`Outbound`, `Gate`, `Heartbeat`,
//! `Monitors`); the tasks around them only carry bytes. Rules that hold everywhere:
//!
//! - messages for one actor leave in the order of the calls (G2);
//! - nothing is sent twice (G1, D11): what a broken lane has not written becomes dead letters, counted
//!   in [`PeerInfo`], and unanswered resolves fail;
//! - every queue is bounded (L10, L19), and the bound is an error that hands the message back;
//! - connections are made when they are needed, and after a failure only once a pause is over (L28).

mod askers;
mod backoff;
mod census;
mod chance;
mod dialler;
mod error;
mod heartbeat;
mod here;
mod lane;
mod lateness;
mod link;
mod load;
mod local;
mod log_limit;
mod monitors;
mod news;
mod outbound;
mod peer;
mod peers;
mod progress;
mod proxy;
mod room;
mod serve;
mod serve_lane;
mod shared;
mod shown;
mod spin;
mod standing;
mod tally;
mod throttle;
mod vitals;
mod watch;
mod watcher;
mod whereabouts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

pub use census::NodeInfo;
pub use error::{DownReason, ListenError, PingError, RemoteDown, RemoteSendError, ResolveError};
pub use local::LocalNode;
pub(crate) use log_limit::LogLimit;
pub use news::NodeWatch;
pub use proxy::{RemoteError, Target};

use self::peer::Peer;
use self::peers::{NoPeer, Peers};
use self::shared::{Shared, Stage};
use self::watch::Start;
use crate::actor::{MonitorRef, System};
use crate::config::{Level, NodeConfig};
use crate::pid::Pid;
use crate::transport::{CloseCode, NodeAddr, PeerIdentity, Transport};
use crate::wire::MAX_NAME;

/// How long the tasks of a node may take to end after it was told to close.
const CLOSING: Duration = Duration::from_millis(500);

/// A node of the mesh: it listens, and it talks to other nodes. Clones are the same node.
///
/// Its tasks run on the tokio runtime it was given; its futures may be awaited on any executor. When
/// the last clone is dropped everything ends at once; [`shutdown`](Self::shutdown) ends it in order.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    peers: Peers,
}

/// A node that may be gone.
pub(crate) struct WeakNode(Weak<Inner>);

impl WeakNode {
    pub(crate) fn upgrade(&self) -> Option<Node> {
        self.0.upgrade().map(|inner| Node { inner })
    }
}

/// Without a handle nobody can use the node any more.
impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.reach(Stage::Closed);
    }
}

/// A monitor of a remote actor, for [`Node::demonitor`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteMonitor {
    addr: NodeAddr,
    id: u64,
}

/// What a node knows about one peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The address as dialled.
    pub addr: NodeAddr,
    /// Who it proved to be, where the transport authenticates.
    pub identity: Option<PeerIdentity>,
    /// Whether a connection for messages is open now.
    pub connected: bool,
    /// The protocol that is spoken with it, once that is known.
    pub level: Option<Level>,
    /// Whether its scheduler does not answer though its process lives, or its Python handlers do not run
    /// (D12); only at level 2.
    pub stalled: bool,
    /// Messages queued or being written.
    pub queued_messages: usize,
    /// Their payload in bytes.
    pub queued_bytes: usize,
    /// Messages written so far.
    pub sent: u64,
    /// Messages that were accepted and lost before they were written (D11).
    pub dead_letters: u64,
    /// Monitors that have not fired.
    pub monitors: usize,
    /// The last round trip of a ping.
    pub round_trip: Option<Duration>,
}

impl Node {
    /// A node that talks over `transport` on behalf of `local`, with its tasks on `io`.
    pub fn new(
        transport: Arc<dyn Transport>,
        local: Arc<dyn LocalNode>,
        io: tokio::runtime::Handle,
        config: NodeConfig,
    ) -> Self {
        let inner =
            Inner { shared: Arc::new(Shared::new(transport, local, io, config)), peers: Peers::default() };
        inner.shared.spawn(spin::stay_up(inner.shared.clone()));
        inner.shared.spawn(vitals::watch(inner.shared.clone()));
        let node = Self { inner: Arc::new(inner) };
        node.shared().spawn(peers::forget_idle(node.shared().clone(), node.downgrade()));
        node
    }

    /// Connects the node with the actors of its runtime, to which questions from other nodes go.
    pub(crate) fn connect(&self, system: &Arc<System>) {
        self.shared().connect(Arc::downgrade(system));
    }

    /// Listens on `addr` and returns the bound address (port 0 is resolved).
    pub async fn listen(&self, addr: &NodeAddr) -> Result<NodeAddr, ListenError> {
        if self.shared().stage() != Stage::Running {
            return Err(ListenError::Closed);
        }
        let (transport, wanted) = (self.shared().transport.clone(), addr.clone());
        let bound = self.shared().io.spawn(async move { transport.bind(&wanted).await });
        let listener = bound.await.map_err(|_| ListenError::Closed)??;
        let bound = listener.local_addr();
        lock(&self.shared().listening).push(bound.clone());
        let (shared, ended) = (self.shared().clone(), bound.clone());
        let forget = move || lock(&shared.listening).retain(|addr| *addr != ended);
        self.shared().spawn(serve::accept(self.shared().clone(), listener, forget));
        Ok(bound)
    }

    /// Asks the node at `addr` for the PID of `name`; `None` if nobody has the name there.
    ///
    /// Waits at most `request_timeout`. A peer of level 1 answers after every message sent there before
    /// has reached its mailbox; at level 2 questions overtake messages.
    pub async fn resolve(&self, addr: &NodeAddr, name: &str) -> Result<Option<Pid>, ResolveError> {
        if name.is_empty() || name.len() > MAX_NAME || name.starts_with('\0') {
            return Err(ResolveError::BadName { len: name.len(), max: MAX_NAME });
        }
        self.peer(addr)?.resolve(name.to_owned()).await
    }

    /// Calls `on_down` once when the node of `pid` can no longer be reached, or a connection to it
    /// broke so that messages may be lost (G4), unless [`demonitor`](Self::demonitor) comes first. A
    /// node that cannot be reached now fires as well.
    ///
    /// A node that speaks level 2 also tells when `pid` alone ends, with its reason, and at once if it
    /// is dead. A peer of level 1 tells of nodes, not of actors. The callback must be short: it runs on an I/O thread, or within this call if the node is shut down or the
    /// peer has too many monitors (L20). A fired monitor stays fired, whatever becomes of the peer
    /// (S28).
    pub fn monitor(
        &self,
        addr: &NodeAddr,
        pid: Pid,
        on_down: Box<dyn FnOnce(RemoteDown) + Send>,
    ) -> RemoteMonitor {
        let id = MonitorRef::next().as_u64();
        match self.peer(addr) {
            Ok(peer) => {
                let from = crate::actor::current();
                let start = peer.watch.monitor(id, pid, from, on_down);
                peer.monitor(id, pid, from);
                self.watch(&peer, start);
            }
            Err(none) => on_down(RemoteDown { addr: addr.clone(), pid, reason: none.into() }),
        }
        RemoteMonitor { addr: addr.clone(), id }
    }

    /// Removes a monitor. True means that it never fires; false that it has fired or is firing.
    pub fn demonitor(&self, monitor: RemoteMonitor) -> bool {
        let peer = self.inner.peers.get(&monitor.addr);
        peer.is_some_and(|peer| peer.demonitor(monitor.id))
    }

    /// Asks the scheduler of the node at `addr` for a sign of life and returns the round trip. Waits
    /// at most `request_timeout`. It dials even when a failed attempt was a moment ago.
    pub async fn ping(&self, addr: &NodeAddr) -> Result<Duration, PingError> {
        let peer = self.peer(addr)?;
        let (reply, answer) = oneshot::channel();
        self.watch(&peer, peer.watch.ping(reply)?);
        let after = self.shared().config.request_timeout;
        match self.shared().within(after, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(PingError::Closed),
            Err(_) => Err(PingError::Timeout { addr: addr.clone(), after }),
        }
    }

    /// Whether the node at `addr` answers a ping.
    pub async fn is_up(&self, addr: &NodeAddr) -> bool {
        self.ping(addr).await.is_ok()
    }

    /// Speaks nothing but the documented framing with the node at `addr`, from the next connection on:
    /// for a peer that does not answer the question for its level as it should. Where the transport's
    /// own handshake decides the level, this has no effect.
    pub fn speak_level_1(&self, addr: &NodeAddr) {
        if let Ok(peer) = self.peer(addr) {
            peer.standing.only_one();
        }
    }

    /// The addresses on which this node listens now.
    pub fn listening_on(&self) -> Vec<NodeAddr> {
        lock(&self.shared().listening).clone()
    }

    /// Whether the queues of this node hold as much as they may (L13): it takes nothing more until some of it
    /// has been written.
    pub fn is_overloaded(&self) -> bool {
        self.shared().budget.is_spent()
    }

    /// Every peer that is in use or was a moment ago, in the order of addresses. One without a connection, with
    /// which nothing has happened for [`peer_idle_after`](NodeConfig::peer_idle_after), is forgotten.
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.inner.peers.all().iter().map(|peer| peer.info()).collect()
    }

    /// Waits until everything queued has been written, at most `limit`; returns the number of messages
    /// that are left.
    pub async fn flush(&self, limit: Duration) -> usize {
        let peers = self.inner.peers.all();
        let drained = async {
            for peer in &peers {
                peer.drain().await;
            }
        };
        // What is left after the limit is counted below.
        let _ = self.shared().within(limit, drained).await;
        let links = self.shared().links.all();
        let on_links: usize = links.iter().map(|link| link.load().messages).sum();
        on_links + peers.iter().map(|peer| peer.unwritten()).sum::<usize>()
    }

    /// Ends the node: takes nothing more, writes what is queued and waits for the peers to have read
    /// it, at most `drain`; then closes everything. Returns the number of messages that were not
    /// written, or at level 2 not confirmed (G8). Monitors are dropped without firing.
    pub async fn shutdown(&self, drain: Duration) -> usize {
        self.shared().reach(Stage::Draining);
        let peers = self.inner.peers.all();
        peers.iter().for_each(|peer| peer.watch.close());
        peers.iter().for_each(|peer| peer.close());
        // Nothing more is put into a link, so it leaves, whatever others wait for. What waits for a connection has a
        // link of its own, which leaves once that is in it.
        self.shared().links.all().iter().for_each(|link| link.leave());
        // What is left after the limit is counted below.
        let _ = self.shared().within(drain, self.written_and_read(&peers)).await;
        self.shared().reach(Stage::Closed);
        let unwritten: usize = peers.iter().map(|peer| peer.abandon()).sum();
        peers.iter().for_each(|peer| peer.dialler.close(CloseCode::GoingAway, "shut down"));
        // A task that takes longer is left to end by itself.
        let _ = self.shared().within(CLOSING, self.shared().all_done()).await;
        let still_there: usize = self.shared().links.all().iter().map(|link| link.unconfirmed()).sum();
        unwritten + self.shared().lost() + still_there
    }

    /// Waits until the peers have everything.
    async fn written_and_read(&self, peers: &[Arc<Peer>]) {
        for peer in peers {
            peer.ended().await;
        }
        for link in self.shared().links.all() {
            link.gone().await;
        }
    }

    fn sendable(&self, addr: &NodeAddr, message: Bytes) -> Result<(Arc<Peer>, Bytes), RemoteSendError> {
        let (len, max) = (message.len(), self.max_payload());
        if len > max {
            return Err(RemoteSendError::TooLarge { len, max, message });
        }
        match self.peer(addr) {
            Ok(peer) => Ok((peer, message)),
            Err(NoPeer::Closed) => Err(RemoteSendError::Closed { message }),
            Err(NoPeer::TooMany { addr, reason }) => {
                Err(RemoteSendError::NoConnection { addr, reason, message })
            }
        }
    }

    /// The wire has 32 bits for a length, whatever is configured.
    fn max_payload(&self) -> usize {
        let config = &self.shared().config;
        config.max_sent_payload.max(config.max_bulk_payload).min(u32::MAX as usize)
    }

    fn watch(&self, peer: &Arc<Peer>, start: Start) {
        if let Start::Needed = start {
            self.shared().spawn(watcher::watch(peer.clone()));
        }
    }

    /// The peer at `addr`, made at its first use.
    fn peer(&self, addr: &NodeAddr) -> Result<Arc<Peer>, NoPeer> {
        self.inner.peers.at(addr, self.shared())
    }

    /// When the node at `addr`, which could not be reached a moment ago, may be dialled again.
    fn dial_again_at(&self, addr: &NodeAddr) -> Option<std::time::Instant> {
        self.inner.peers.get(addr).and_then(|peer| peer.dial_again_at())
    }

    pub(crate) fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self.inner))
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("listening_on", &self.listening_on()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
