//! The in-process transport: names instead of sockets, bounded pipes instead of wires.
//!
//! It keeps every promise of the transport traits and uses each freedom they leave in the strictest
//! way, so that code which works here does not lean on one network's kindness: only the dialler
//! opens lanes, a reset or a close drops what was not yet read, a dropped sender is a reset.
//!
//! ```
//! # use myrmidon::transport::{Transport, memory::{MemoryNetwork, MemoryTransport}};
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let network = MemoryNetwork::new();
//! let transport = MemoryTransport::new(&network);
//! let mut listener = transport.bind(&"node-a:0".parse().unwrap()).await.unwrap();
//! let dialled = transport.connect(&listener.local_addr()).await.unwrap();
//! let accepted = listener.accept().await.unwrap();
//! # drop((dialled, accepted));
//! # });
//! ```

mod connection;
mod pipe;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::mpsc;

use self::connection::{Link, MemoryConnection, Side};
use super::{Connection, Listener, NodeAddr, Transport, TransportError};

const SCHEME: &str = "memory";
/// Connections that wait to be accepted; a further `connect` waits for room.
const BACKLOG: usize = 128;
/// Where port 0 starts to look, as the systems' ephemeral ports do.
const FIRST_EPHEMERAL_PORT: u16 = 49_152;

/// An isolated set of names that can reach each other. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork {
    hosts: Arc<Mutex<Hosts>>,
}

impl MemoryNetwork {
    /// An empty network.
    pub fn new() -> Self {
        Self::default()
    }

    /// Breaks every connection that was dialled to the listening address `addr`, for both sides and
    /// without a word: all lanes fail with [`TransportError::Lost`] and unread bytes are gone. The
    /// listener lives on. Returns how many connections were broken.
    pub fn cut(&self, addr: &NodeAddr) -> usize {
        let links = self.hosts().links.remove(&key(addr)).unwrap_or_default();
        links.iter().filter_map(Weak::upgrade).filter(|link| link.cut()).count()
    }

    fn hosts(&self) -> MutexGuard<'_, Hosts> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects and binds within one [`MemoryNetwork`].
#[derive(Clone, Debug)]
pub struct MemoryTransport {
    network: MemoryNetwork,
}

impl MemoryTransport {
    /// A transport whose addresses are the names of `network`.
    pub fn new(network: &MemoryNetwork) -> Self {
        Self { network: network.clone() }
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    async fn bind(&self, addr: &NodeAddr) -> Result<Box<dyn Listener>, TransportError> {
        refuse_node_name(addr)?;
        let (queue, arrivals) = mpsc::channel(BACKLOG);
        let addr = self.network.hosts().listen(addr, queue)?;
        Ok(Box::new(MemoryListener { addr, arrivals, network: self.network.clone() }))
    }

    async fn connect(&self, addr: &NodeAddr) -> Result<Box<dyn Connection>, TransportError> {
        refuse_node_name(addr)?;
        let refused =
            || TransportError::Connect { addr: addr.clone(), reason: "nobody listens there".into() };
        let queue = self.network.hosts().listeners.get(&key(addr)).cloned().ok_or_else(refused)?;
        let place = queue.reserve().await.map_err(|_| refused())?;
        let (dialled, accepted) = self.network.hosts().join(addr);
        place.send(accepted);
        Ok(Box::new(dialled))
    }
}

/// A bound name.
struct MemoryListener {
    addr: NodeAddr,
    arrivals: mpsc::Receiver<MemoryConnection>,
    network: MemoryNetwork,
}

#[async_trait]
impl Listener for MemoryListener {
    fn local_addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    async fn accept(&mut self) -> Result<Box<dyn Connection>, TransportError> {
        match self.arrivals.recv().await {
            Some(connection) => Ok(Box::new(connection)),
            None => Err(TransportError::ClosedLocally),
        }
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        self.network.hosts().listeners.remove(&key(&self.addr));
    }
}

type Key = (String, u16);

fn key(addr: &NodeAddr) -> Key {
    (addr.host().to_owned(), addr.port())
}

#[derive(Debug, Default)]
struct Hosts {
    listeners: HashMap<Key, mpsc::Sender<MemoryConnection>>,
    /// What `cut` may break, by the address that was dialled.
    links: HashMap<Key, Vec<Weak<Link>>>,
    /// The last port that was picked or dialled from.
    last_port: u16,
}

impl Hosts {
    fn listen(
        &mut self,
        addr: &NodeAddr,
        queue: mpsc::Sender<MemoryConnection>,
    ) -> Result<NodeAddr, TransportError> {
        let addr = if addr.port() == 0 { addr.with_port(self.free_port(addr)?) } else { addr.clone() };
        match self.listeners.entry(key(&addr)) {
            Entry::Vacant(free) => free.insert(queue),
            Entry::Occupied(_) => {
                return Err(TransportError::Bind { addr, reason: "the address is in use".into() });
            }
        };
        Ok(addr)
    }

    fn free_port(&mut self, addr: &NodeAddr) -> Result<u16, TransportError> {
        let tries = usize::from(u16::MAX - FIRST_EPHEMERAL_PORT) + 1;
        for _ in 0..tries {
            let port = self.next_port();
            if !self.listeners.contains_key(&(addr.host().to_owned(), port)) {
                return Ok(port);
            }
        }
        Err(TransportError::Bind { addr: addr.clone(), reason: "every port is in use".into() })
    }

    fn next_port(&mut self) -> u16 {
        self.last_port = self.last_port.checked_add(1).unwrap_or(0).max(FIRST_EPHEMERAL_PORT);
        self.last_port
    }

    /// Both ends of a new connection to the listening address `addr`.
    fn join(&mut self, addr: &NodeAddr) -> (MemoryConnection, MemoryConnection) {
        let from = NodeAddr::new("dialler", self.next_port());
        let link = Arc::new(Link::default());
        let links = self.links.entry(key(addr)).or_default();
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(&link));
        let (queue, lanes) = connection::lane_queue();
        (
            MemoryConnection::new(link.clone(), Side::Dialler, addr.clone(), Some(queue), None),
            MemoryConnection::new(link, Side::Acceptor, from, None, Some(lanes)),
        )
    }
}

fn refuse_node_name(addr: &NodeAddr) -> Result<(), TransportError> {
    match addr.node() {
        None => Ok(()),
        Some(node) => Err(TransportError::BadAddress {
            scheme: SCHEME,
            addr: addr.clone(),
            reason: format!("nobody proves to be {node:?} in memory; leave out \"{node}@\""),
        }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transport::LaneClass;

    fn addr(text: &str) -> NodeAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_cut_breaks_both_sides_and_spares_the_listener() {
        let network = MemoryNetwork::new();
        let transport = MemoryTransport::new(&network);
        let mut listener = transport.bind(&addr("a:0")).await.unwrap();
        let here = transport.connect(&listener.local_addr()).await.unwrap();
        let (mut tx, _rx) = here.open_lane(LaneClass::Control).await.unwrap();
        tx.write(&mut [Bytes::from_static(b"lost")]).await.unwrap();
        let there = listener.accept().await.unwrap();
        let (_tx, mut rx) = there.accept_lane().await.unwrap().unwrap();

        assert_eq!(network.cut(&listener.local_addr()), 1);
        assert!(matches!(here.closed().await, TransportError::Lost(_)));
        assert!(matches!(there.closed().await, TransportError::Lost(_)));
        assert!(matches!(rx.read(10).await, Err(TransportError::Lost(_))));
        assert!(matches!(tx.write(&mut [Bytes::from_static(b"x")]).await, Err(TransportError::Lost(_))));
        transport.connect(&listener.local_addr()).await.unwrap();
    }

    #[tokio::test]
    async fn networks_are_isolated_and_a_name_is_bound_once() {
        let transport = MemoryTransport::new(&MemoryNetwork::new());
        let listener = transport.bind(&addr("a:7")).await.unwrap();
        assert!(matches!(transport.bind(&addr("a:7")).await, Err(TransportError::Bind { .. })));
        let other = MemoryTransport::new(&MemoryNetwork::new());
        assert!(matches!(other.connect(&addr("a:7")).await, Err(TransportError::Connect { .. })));
        drop(listener);
        transport.bind(&addr("a:7")).await.unwrap();
    }
}
