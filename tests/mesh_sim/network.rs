//! A network of named hosts with everything that goes wrong in one, by a seed and on a virtual clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use async_trait::async_trait;
use myrmidon::sim::Random;
use myrmidon::transport::{Connection, Listener, NodeAddr, PeerIdentity, Transport, TransportError};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};

use crate::pipe::{Nature, Pipe};
use crate::wire::{ACCEPTOR, DIALLER, Wire};

/// Connections that wait to be accepted.
const BACKLOG: usize = 1024;

/// What no network may do, so that a test can show that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mischief {
    None,
    /// Loses what was written, now and then, and goes on.
    Lose,
    /// Brings what was written twice.
    Repeat,
}

/// Clones are the same network.
#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<Net>>);

struct Net {
    random: Random,
    mischief: Mischief,
    authenticated: bool,
    /// The slowest that a byte goes.
    slowest: Duration,
    listeners: BTreeMap<String, mpsc::Sender<Box<dyn Connection>>>,
    paths: BTreeMap<(String, String), Arc<Path>>,
    refusing: BTreeSet<String>,
    /// Nothing is cut any more.
    calm: bool,
    wires: Vec<Weak<Wire>>,
    /// Connections that each host has had.
    opened: BTreeMap<String, usize>,
}

/// One direction between two hosts.
#[derive(Default)]
pub(crate) struct Path {
    state: Mutex<Way>,
    healed: Notify,
}

#[derive(Default)]
struct Way {
    is_cut: bool,
    healed_at: Option<Instant>,
    pipes: Vec<Weak<Pipe>>,
}

impl Path {
    pub(crate) fn is_cut(&self) -> bool {
        self.state.lock().unwrap().is_cut
    }

    /// Nothing that was under way during the last cut arrives before this.
    pub(crate) fn healed_at(&self) -> Option<Instant> {
        self.state.lock().unwrap().healed_at
    }

    pub(crate) fn add(&self, pipe: &Arc<Pipe>) {
        let mut way = self.state.lock().unwrap();
        way.pipes.retain(|pipe| pipe.strong_count() > 0);
        way.pipes.push(Arc::downgrade(pipe));
    }

    fn set(&self, cut: bool) {
        let pipes = {
            let mut way = self.state.lock().unwrap();
            if way.is_cut && !cut {
                way.healed_at = Some(Instant::now());
            }
            way.is_cut = cut;
            way.pipes.clone()
        };
        pipes.iter().filter_map(Weak::upgrade).for_each(|pipe| pipe.wake());
        self.healed.notify_waiters();
    }

    async fn whole(&self) {
        loop {
            let healed = self.healed.notified();
            if !self.is_cut() {
                return;
            }
            healed.await;
        }
    }
}

impl Network {
    pub(crate) fn new(mut random: Random, mischief: Mischief) -> Self {
        let authenticated = random.one_in(2);
        let slowest = Duration::from_millis([1, 20, 200][random.below(3) as usize]);
        Self(Arc::new(Mutex::new(Net {
            random,
            mischief,
            authenticated,
            slowest,
            listeners: BTreeMap::new(),
            paths: BTreeMap::new(),
            refusing: BTreeSet::new(),
            calm: false,
            wires: Vec::new(),
            opened: BTreeMap::new(),
        })))
    }

    /// Cuts one direction, or makes it whole. Nothing that was under way is lost by that alone.
    pub(crate) fn cut(&self, from: &str, to: &str, cut: bool) {
        let cut = cut && !self.net().calm;
        self.path(from, to).set(cut);
    }

    /// Breaks every connection between two hosts; each side notices at its time, at most `within`.
    pub(crate) fn sever(&self, one: &str, other: &str, within: Duration) {
        let between = |wire: &Wire| {
            wire.hosts.iter().any(|host| host == one) && wire.hosts.iter().any(|host| host == other)
        };
        for wire in self.wires().into_iter().filter(|wire| between(wire)) {
            let after = [self.up_to(within), self.up_to(within)];
            wire.sever(after);
        }
    }

    /// Whether dials to a host are refused.
    pub(crate) fn refuse(&self, host: &str, refuse: bool) {
        let mut net = self.net();
        if refuse {
            net.refusing.insert(host.to_owned());
        } else {
            net.refusing.remove(host);
        }
    }

    /// Everything is as it should be from now on, connections that are broken apart.
    pub(crate) fn heal(&self) {
        self.net().calm = true;
        let paths: Vec<_> = self.net().paths.values().cloned().collect();
        paths.iter().for_each(|path| path.set(false));
        self.net().refusing.clear();
    }

    /// Connections between two hosts that neither side has ended.
    pub(crate) fn open_between(&self, one: &str, other: &str) -> usize {
        let between = |wire: &Wire| {
            wire.hosts.iter().any(|host| host == one) && wire.hosts.iter().any(|host| host == other)
        };
        self.wires().iter().filter(|wire| between(wire) && wire.is_open()).count()
    }

    /// Connections that a host has had so far.
    pub(crate) fn opened(&self, host: &str) -> usize {
        self.net().opened.get(host).copied().unwrap_or(0)
    }

    fn opening(&self, wire: &Arc<Wire>) {
        let mut net = self.net();
        net.wires.push(Arc::downgrade(wire));
        for host in &wire.hosts {
            *net.opened.entry(host.clone()).or_default() += 1;
        }
    }

    pub(crate) fn transport(&self, host: &str) -> Arc<dyn Transport> {
        Arc::new(Host { network: self.clone(), name: host.to_owned() })
    }

    pub(crate) fn delay(&self) -> Duration {
        let slowest = self.net().slowest;
        self.up_to(slowest)
    }

    pub(crate) fn nature(&self, mischief: Mischief) -> Nature {
        let mut net = self.net();
        let slowest = net.slowest.as_micros() as u64;
        let least = Duration::from_micros(net.random.below(slowest));
        let spread = Duration::from_micros(net.random.below(slowest));
        let capacity = 1 << (9 + net.random.below(8));
        let random = Random::stream(net.random.next_u64(), 0);
        Nature { delay: (least, spread), capacity, random, mischief }
    }

    pub(crate) fn mischief(&self) -> Mischief {
        self.net().mischief
    }

    pub(crate) fn is_authenticated(&self) -> bool {
        self.net().authenticated
    }

    pub(crate) fn identity(&self, host: &str) -> Option<PeerIdentity> {
        let identity = PeerIdentity { cluster: "sim".to_owned(), node: host.to_owned() };
        self.is_authenticated().then_some(identity)
    }

    fn up_to(&self, most: Duration) -> Duration {
        Duration::from_micros(self.net().random.below(most.as_micros() as u64 + 1))
    }

    fn path(&self, from: &str, to: &str) -> Arc<Path> {
        self.net().paths.entry((from.to_owned(), to.to_owned())).or_default().clone()
    }

    fn wires(&self) -> Vec<Arc<Wire>> {
        let mut net = self.net();
        net.wires.retain(|wire| wire.strong_count() > 0);
        net.wires.iter().filter_map(Weak::upgrade).collect()
    }

    fn net(&self) -> MutexGuard<'_, Net> {
        self.0.lock().unwrap()
    }
}

/// The transport of one host.
struct Host {
    network: Network,
    name: String,
}

#[async_trait]
impl Transport for Host {
    fn scheme(&self) -> &'static str {
        "simulated"
    }

    async fn bind(&self, addr: &NodeAddr) -> Result<Box<dyn Listener>, TransportError> {
        let (queue, arrivals) = mpsc::channel(BACKLOG);
        self.network.net().listeners.insert(self.name.clone(), queue.clone());
        let network = self.network.clone();
        Ok(Box::new(Listening { network, addr: addr.clone(), queue, arrivals }))
    }

    async fn connect(&self, addr: &NodeAddr) -> Result<Box<dyn Connection>, TransportError> {
        let (net, there) = (&self.network, addr.host());
        let paths = [net.path(&self.name, there), net.path(there, &self.name)];
        sleep(net.delay()).await;
        paths[0].whole().await;
        paths[1].whole().await;
        let refused = || TransportError::Connect { addr: addr.clone(), reason: "refused".into() };
        let queue = {
            let net = net.net();
            let queue = net.listeners.get(there).filter(|_| !net.refusing.contains(there));
            queue.cloned().ok_or_else(refused)?
        };
        let wire = Wire::new(net.clone(), [self.name.clone(), there.to_owned()], paths);
        net.opening(&wire);
        let dialled = wire.end(DIALLER);
        queue.try_send(wire.end(ACCEPTOR)).map_err(|_| refused())?;
        sleep(net.delay()).await;
        Ok(dialled)
    }

    fn identity(&self) -> Option<PeerIdentity> {
        self.network.identity(&self.name)
    }
}

struct Listening {
    network: Network,
    addr: NodeAddr,
    queue: mpsc::Sender<Box<dyn Connection>>,
    arrivals: mpsc::Receiver<Box<dyn Connection>>,
}

#[async_trait]
impl Listener for Listening {
    fn local_addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    async fn accept(&mut self) -> Result<Box<dyn Connection>, TransportError> {
        self.arrivals.recv().await.ok_or(TransportError::ClosedLocally)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut net = self.network.net();
        // The next life of the host may listen already.
        if net.listeners.get(self.addr.host()).is_some_and(|queue| queue.same_channel(&self.queue)) {
            net.listeners.remove(self.addr.host());
        }
    }
}
