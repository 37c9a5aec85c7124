//! A runtime that keeps what it is told, a raw peer that speaks bytes, and a way to wait.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::actor::{ExitReason, MonitorRef};
use myrmidon::config::{Level, NodeConfig};
use myrmidon::node::{LocalNode, Node};
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::transport::{Connection, Lane, LaneClass, Listener, NodeAddr, Transport};
use myrmidon::wire::Batch;
use tokio::sync::watch;

type Job = Box<dyn FnOnce() + Send>;
type OnExit = Box<dyn FnOnce(&ExitReason) + Send>;

/// Records deliveries and answers from a table of names.
#[derive(Default)]
pub(crate) struct FakeRuntime {
    names: Mutex<HashMap<String, Pid>>,
    inbox: watch::Sender<Vec<(Pid, Bytes)>>,
    /// How often something was delivered.
    deliveries: AtomicU64,
    /// Who wants to know when an actor ends; the actors that have ended.
    watchers: Mutex<Vec<(Pid, MonitorRef, OnExit)>>,
    dead: Mutex<Vec<Pid>>,
    /// Actors whose mailboxes are full.
    full: Mutex<Vec<Pid>>,
    /// Who wants to know when they are not any more.
    marks: Mutex<Vec<(Pid, Job)>>,
    /// For how long the handlers have not run.
    stuck: Mutex<Option<Duration>>,
    /// Jobs of a scheduler that does not run.
    frozen: Mutex<Option<Vec<Job>>>,
}

impl FakeRuntime {
    pub(crate) fn register(&self, name: &str, pid: Pid) {
        self.names.lock().unwrap().insert(name.to_owned(), pid);
    }

    /// Lets an actor end.
    pub(crate) fn end(&self, pid: Pid, reason: &ExitReason) {
        self.dead.lock().unwrap().push(pid);
        let told: Vec<_> = {
            let mut watchers = self.watchers.lock().unwrap();
            let (told, others) = watchers.drain(..).partition(|(watched, ..)| *watched == pid);
            *watchers = others;
            told
        };
        told.into_iter().for_each(|(_, _, on_exit)| on_exit(reason));
    }

    /// How many want to know of an end.
    pub(crate) fn watchers(&self) -> usize {
        self.watchers.lock().unwrap().len()
    }

    /// Lets the mailbox of an actor be full, or not any more.
    pub(crate) fn fill(&self, pid: Pid, full: bool) {
        let mut all = self.full.lock().unwrap();
        all.retain(|other| *other != pid);
        all.extend(full.then_some(pid));
        drop(all);
        if !full {
            let marks: Vec<_> =
                self.marks.lock().unwrap().extract_if(.., |(marked, _)| *marked == pid).collect();
            marks.into_iter().for_each(|(_, reached)| reached());
        }
    }

    pub(crate) fn freeze(&self) {
        self.frozen.lock().unwrap().get_or_insert_default();
    }

    pub(crate) fn thaw(&self) {
        let jobs = self.frozen.lock().unwrap().take().unwrap_or_default();
        jobs.into_iter().for_each(|job| job());
    }

    /// Lets the handlers not run for so long, or run again.
    pub(crate) fn stick(&self, stuck: Option<Duration>) {
        *self.stuck.lock().unwrap() = stuck;
    }

    pub(crate) fn received(&self) -> Vec<(Pid, Bytes)> {
        self.inbox.borrow().clone()
    }

    /// How often something came: what came in one piece counts once.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Waits for the message with the number `count`.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<(Pid, Bytes)> {
        let mut inbox = self.inbox.subscribe();
        soon(inbox.wait_for(|inbox| inbox.len() >= count)).await.unwrap().clone()
    }
}

impl LocalNode for FakeRuntime {
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>) {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        self.inbox.send_modify(|inbox| inbox.append(batch));
    }

    fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        self.full.lock().unwrap().contains(&pid).then_some(usize::MAX).or(Some(0))
    }

    fn mark(&self, pid: Pid, reached: Job) {
        if self.full.lock().unwrap().contains(&pid) {
            self.marks.lock().unwrap().push((pid, reached));
        } else {
            reached();
        }
    }

    fn whereis(&self, name: &str) -> Option<Pid> {
        self.names.lock().unwrap().get(name).copied()
    }

    fn watch(&self, pid: Pid, on_exit: OnExit) -> MonitorRef {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let monitor = MonitorRef::from_u64(NEXT.fetch_add(1, Ordering::Relaxed));
        if self.dead.lock().unwrap().contains(&pid) {
            on_exit(&ExitReason::NoProcess);
        } else {
            self.watchers.lock().unwrap().push((pid, monitor, on_exit));
        }
        monitor
    }

    fn unwatch(&self, _: Pid, monitor: MonitorRef) {
        self.watchers.lock().unwrap().retain(|(_, watched, _)| *watched != monitor);
    }

    fn on_worker(&self, job: Job) {
        match self.frozen.lock().unwrap().as_mut() {
            Some(jobs) => jobs.push(job),
            None => job(),
        }
    }

    fn stuck_for(&self) -> Option<Duration> {
        *self.stuck.lock().unwrap()
    }
}

/// A node with its runtime and its address.
pub(crate) struct Running {
    pub(crate) node: Node,
    pub(crate) runtime: Arc<FakeRuntime>,
    pub(crate) addr: NodeAddr,
}

pub(crate) async fn node(network: &MemoryNetwork) -> Running {
    node_at(network, &any(), NodeConfig::default()).await
}

/// A node that speaks level 1 only.
pub(crate) async fn node_one(network: &MemoryNetwork) -> Running {
    node_with(network, one()).await
}

/// The configuration of a node that speaks level 1 only.
pub(crate) fn one() -> NodeConfig {
    NodeConfig { level: Level::One, ..NodeConfig::default() }
}

pub(crate) async fn node_with(network: &MemoryNetwork, config: NodeConfig) -> Running {
    node_at(network, &any(), config).await
}

pub(crate) async fn node_at(network: &MemoryNetwork, addr: &NodeAddr, config: NodeConfig) -> Running {
    let runtime = Arc::new(FakeRuntime::default());
    let transport = Arc::new(MemoryTransport::new(network));
    let node = Node::new(transport, runtime.clone(), tokio::runtime::Handle::current(), config);
    let addr = node.listen(addr).await.unwrap();
    Running { node, runtime, addr }
}

impl Running {
    /// Ends the process, as far as others can tell: nothing listens, every connection breaks.
    pub(crate) async fn kill(self, network: &MemoryNetwork) {
        let addr = self.addr.clone();
        drop(self);
        network.cut(&addr);
        let transport = MemoryTransport::new(network);
        eventually("nobody listens", async || transport.connect(&addr).await.is_err()).await;
        network.cut(&addr);
    }
}

/// A listener that the test serves by hand.
pub(crate) async fn listen(network: &MemoryNetwork) -> (Box<dyn Listener>, NodeAddr) {
    let listener = MemoryTransport::new(network).bind(&any()).await.unwrap();
    let addr = listener.local_addr();
    (listener, addr)
}

/// The next lane that is opened at `listener`, with its connection.
pub(crate) async fn accept_lane(listener: &mut Box<dyn Listener>) -> (Box<dyn Connection>, Lane) {
    let connection = soon(listener.accept()).await.unwrap();
    let lane = soon(connection.accept_lane()).await.unwrap().unwrap();
    (connection, lane)
}

/// A peer that says and hears bare bytes.
pub(crate) struct RawPeer {
    pub(crate) connection: Box<dyn Connection>,
    pub(crate) lane: Lane,
}

impl RawPeer {
    pub(crate) async fn dial(network: &MemoryNetwork, addr: &NodeAddr) -> Self {
        let connection = MemoryTransport::new(network).connect(addr).await.unwrap();
        let lane = connection.open_lane(LaneClass::Control).await.unwrap();
        Self { connection, lane }
    }

    pub(crate) async fn say(&mut self, bytes: impl Into<Bytes>) {
        soon(self.lane.0.write(&mut [bytes.into()])).await.unwrap();
    }

    pub(crate) async fn say_batch(&mut self, batch: &mut Batch) {
        soon(self.lane.0.write(&mut batch.take())).await.unwrap();
    }

    /// Exactly `len` bytes.
    pub(crate) async fn hear(&mut self, len: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < len {
            let bytes = soon(self.lane.1.read(len - heard.len())).await.unwrap();
            heard.extend_from_slice(&bytes.expect("the lane ended early"));
        }
        heard
    }

    pub(crate) async fn hear_end(&mut self) {
        assert_eq!(soon(self.lane.1.read(1)).await.unwrap(), None);
    }
}

pub(crate) fn any() -> NodeAddr {
    NodeAddr::new("node", 0)
}

pub(crate) fn pid(index: u32) -> Pid {
    Pid::new(0x5EED, index).unwrap()
}

pub(crate) fn number(n: usize) -> Bytes {
    Bytes::copy_from_slice(&(n as u64).to_be_bytes())
}

/// `work`, which must be done long before a test is given up.
pub(crate) async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it takes too long")
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap_or_else(|_| panic!("never: {what}"));
}
