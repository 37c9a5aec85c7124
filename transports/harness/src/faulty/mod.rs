//! A transport that fails on purpose: connections break after so many bytes or on demand, writes
//! come late.

mod lane;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use myrmidon::transport::{
    CloseCode, Connection, Lane, LaneClass, Level, Listener, NodeAddr, PeerIdentity, Transport,
    TransportError,
};
use tokio::sync::watch;

use self::lane::{FaultySender, guarded};
use crate::noise::Noise;

/// What goes wrong. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Decides the delays. The same seed gives every lane the same ones, in the order in which
    /// lanes are opened.
    pub seed: u64,
    /// A connection breaks when this side has written so many bytes over all its lanes: the write
    /// that reaches the number passes on the bytes before it, and then both sides lose the rest.
    pub cut_after: Option<u64>,
    /// Every write waits for a time out of this range first.
    pub delay: Option<Range<Duration>>,
}

/// Wraps a transport; connections that it dials and accepts have the faults.
///
/// ```
/// # use std::sync::Arc;
/// # use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
/// use myrmidon_transport_harness::{Faults, Faulty};
///
/// let inner = Arc::new(MemoryTransport::new(&MemoryNetwork::new()));
/// let faulty = Faulty::new(inner, Faults { cut_after: Some(1_000), ..Faults::default() });
/// assert_eq!(faulty.cut_now(), 0);
/// ```
#[derive(Clone)]
pub struct Faulty {
    inner: Arc<dyn Transport>,
    shared: Arc<Shared>,
}

impl Faulty {
    /// `inner` with `faults`. Clones share their connections.
    pub fn new(inner: Arc<dyn Transport>, faults: Faults) -> Self {
        Self { inner, shared: Arc::new(Shared { faults, ..Shared::default() }) }
    }

    /// Connections of this transport that somebody still holds, dialled and accepted.
    pub fn held(&self) -> usize {
        self.shared.connections().iter().filter(|fault| fault.strong_count() > 0).count()
    }

    /// Breaks every connection of this transport now. Returns how many there were.
    pub fn cut_now(&self) -> usize {
        let faults: Vec<_> = self.shared.connections().drain(..).collect();
        faults.iter().filter_map(Weak::upgrade).map(|fault| fault.cut()).count()
    }
}

#[async_trait]
impl Transport for Faulty {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    async fn bind(&self, addr: &NodeAddr) -> Result<Box<dyn Listener>, TransportError> {
        let inner = self.inner.bind(addr).await?;
        Ok(Box::new(FaultyListener { inner, shared: self.shared.clone() }))
    }

    async fn connect(&self, addr: &NodeAddr) -> Result<Box<dyn Connection>, TransportError> {
        Ok(self.shared.wrap(self.inner.connect(addr).await?))
    }

    fn identity(&self) -> Option<PeerIdentity> {
        self.inner.identity()
    }
}

struct FaultyListener {
    inner: Box<dyn Listener>,
    shared: Arc<Shared>,
}

#[async_trait]
impl Listener for FaultyListener {
    fn local_addr(&self) -> NodeAddr {
        self.inner.local_addr()
    }

    async fn accept(&mut self) -> Result<Box<dyn Connection>, TransportError> {
        Ok(self.shared.wrap(self.inner.accept().await?))
    }
}

/// What the connections of one transport share.
#[derive(Default)]
struct Shared {
    faults: Faults,
    connections: Mutex<Vec<Weak<Fault>>>,
    lanes: AtomicU64,
}

impl Shared {
    fn wrap(self: &Arc<Self>, inner: Box<dyn Connection>) -> Box<dyn Connection> {
        let left = self.faults.cut_after.unwrap_or(u64::MAX);
        let fault = Arc::new(Fault { inner, left: AtomicU64::new(left), is_cut: watch::Sender::default() });
        let mut connections = self.connections();
        connections.retain(|fault| fault.strong_count() > 0);
        connections.push(Arc::downgrade(&fault));
        Box::new(FaultyConnection { fault, shared: self.clone() })
    }

    fn connections(&self) -> MutexGuard<'_, Vec<Weak<Fault>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fault of one connection. Its lanes keep it, so that a cut reaches them all.
struct Fault {
    inner: Box<dyn Connection>,
    /// Bytes that this side may still write.
    left: AtomicU64,
    is_cut: watch::Sender<bool>,
}

impl Fault {
    fn cut(&self) {
        if !self.is_cut.send_replace(true) {
            self.inner.close(CloseCode::Internal, "cut on purpose");
        }
    }

    /// Waits for the cut.
    async fn cut_done(&self) -> TransportError {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.is_cut.subscribe().wait_for(|cut| *cut).await;
        TransportError::Lost("cut on purpose".into())
    }

    /// Takes from the byte allowance what `bufs` need; `Err` has the bytes that still fit.
    fn allow(&self, bufs: &[Bytes]) -> Result<(), u64> {
        let wanted = bufs.iter().map(|buf| buf.len() as u64).sum();
        let take = |left: u64| Some(left.saturating_sub(wanted));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_default();
        if wanted < left { Ok(()) } else { Err(left) }
    }
}

struct FaultyConnection {
    fault: Arc<Fault>,
    shared: Arc<Shared>,
}

impl FaultyConnection {
    fn lane(&self, (sender, receiver): Lane) -> Lane {
        let number = self.shared.lanes.fetch_add(1, Ordering::Relaxed);
        let faults = &self.shared.faults;
        let noise = Noise::new(faults.seed.wrapping_add(number << 32));
        let sender = FaultySender::new(sender, self.fault.clone(), faults.delay.clone(), noise);
        (Box::new(sender), guarded(receiver, self.fault.clone()))
    }
}

#[async_trait]
impl Connection for FaultyConnection {
    async fn open_lane(&self, class: LaneClass) -> Result<Lane, TransportError> {
        tokio::select! {
            biased;
            error = self.fault.cut_done() => Err(error),
            lane = self.fault.inner.open_lane(class) => Ok(self.lane(lane?)),
        }
    }

    async fn accept_lane(&self) -> Result<Option<Lane>, TransportError> {
        tokio::select! {
            biased;
            error = self.fault.cut_done() => Err(error),
            lane = self.fault.inner.accept_lane() => Ok(lane?.map(|lane| self.lane(lane))),
        }
    }

    fn peer_identity(&self) -> Option<PeerIdentity> {
        self.fault.inner.peer_identity()
    }

    fn level(&self) -> Option<Level> {
        self.fault.inner.level()
    }

    fn peer_addr(&self) -> NodeAddr {
        self.fault.inner.peer_addr()
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.fault.inner.close(code, reason);
    }

    async fn closed(&self) -> TransportError {
        tokio::select! {
            biased;
            error = self.fault.cut_done() => error,
            error = self.fault.inner.closed() => error,
        }
    }
}
