//! What every task of a node shares, and how they all end.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::askers::Askers;
use super::census::Census;
use super::chance::Chance;
use super::link::Links;
use super::load::Budget;
use super::local::LocalNode;
use super::log_limit::LogLimit;
use super::news::News;
use super::proxy::Neighbours;
use super::serve::TOLD;
use super::shown::Shown;
use super::spin::Spin;
use super::tally::Tally;
use super::whereabouts::Whereabouts;
use crate::actor::{NodeEvent, System};
use crate::config::NodeConfig;
use crate::pid::Pid;
use crate::transport::{NodeAddr, PeerIdentity, Transport};

/// Where a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Running,
    /// Takes no new work and no new connections; writes what is queued.
    Draining,
    /// Every task ends now.
    Closed,
}

pub(super) struct Shared {
    pub(super) transport: Arc<dyn Transport>,
    pub(super) local: Arc<dyn LocalNode>,
    pub(super) io: tokio::runtime::Handle,
    pub(super) config: NodeConfig,
    /// Accepted connections at once (L07).
    pub(super) accepted: Arc<Semaphore>,
    /// Those beyond that, which are told why they are refused.
    pub(super) told: Arc<Semaphore>,
    /// Dialled connections at once (L07).
    pub(super) dialled: Arc<Semaphore>,
    pub(super) log: LogLimit,
    pub(super) links: Links,
    pub(super) spin: Spin,
    pub(super) neighbours: Neighbours,
    pub(super) whereabouts: Whereabouts,
    /// Connections of each node that has proved who it is.
    pub(super) identities: Tally<PeerIdentity>,
    /// Monitors and links that peers have with each actor here (L20).
    pub(super) targets: Tally<Pid>,
    /// The addresses on which this node listens.
    pub(super) listening: Mutex<Vec<NodeAddr>>,
    pub(super) chance: Chance,
    pub(super) budget: Budget,
    pub(super) askers: Askers,
    pub(super) news: Arc<News>,
    stage: Shown<Stage>,
    /// Messages that were lost while the node drains (G8).
    lost: AtomicUsize,
    tasks: Shown<usize>,
}

impl Shared {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        local: Arc<dyn LocalNode>,
        io: tokio::runtime::Handle,
        config: NodeConfig,
    ) -> Self {
        let chance = Chance::new(config.seed);
        let links = Links::new(transport.identity(), &chance);
        let neighbours = Neighbours::new(config.max_proxies);
        let budget = Budget::new(config.queue_bytes);
        let connections = config.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            transport,
            local,
            io,
            accepted: Arc::new(Semaphore::new(connections)),
            told: Arc::new(Semaphore::new(TOLD)),
            dialled: Arc::new(Semaphore::new(connections)),
            spin: Spin::new(config.spin),
            askers: Askers::new(config.outbound_messages, budget.clone()),
            budget,
            config,
            log: LogLimit::new(),
            links,
            neighbours,
            whereabouts: Whereabouts::default(),
            identities: Tally::new(),
            targets: Tally::new(),
            listening: Mutex::default(),
            chance,
            news: Arc::new(News::new()),
            stage: Shown::new(Stage::Running),
            lost: AtomicUsize::new(0),
            tasks: Shown::new(0),
        }
    }

    /// Changes what is known of other nodes, and shows what follows. A node that goes down itself has
    /// nothing more to say.
    pub(super) fn tell<E: IntoIterator<Item = NodeEvent>>(&self, change: impl FnOnce(&mut Census) -> E) {
        if self.stage() == Stage::Running {
            self.news.change(change);
        }
    }

    /// Connects the node with the actors here. Called once, before anything else.
    pub(super) fn connect(&self, system: Weak<System>) {
        self.neighbours.connect(system);
    }

    /// The actors here, unless they are gone.
    pub(super) fn system(&self) -> Option<Arc<System>> {
        self.neighbours.system()
    }

    /// Where other nodes can dial this one.
    pub(super) fn advertised(&self) -> Option<NodeAddr> {
        if let Some(given) = &self.config.advertised {
            return given.parse().ok();
        }
        let listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        match &listening[..] {
            [addr] if !addr.is_wildcard() => Some(addr.clone()),
            _ => None,
        }
    }

    /// Runs a task of the node, which must end when the stage says so.
    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.modify(|count| {
            *count += 1;
            false
        });
        let done = Done(self.clone());
        self.io.spawn(async move {
            let _done = done;
            task.await;
        });
    }

    /// Waits until no task is left.
    pub(super) async fn all_done(&self) {
        self.tasks.wait_for(|count| (*count == 0).then_some(())).await;
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.read()
    }

    /// Waits until the node is at `stage` or beyond.
    pub(super) async fn at(&self, stage: Stage) {
        self.stage.wait_for(|now| (*now >= stage).then_some(())).await;
    }

    /// Goes on to `stage`, unless the node is further already.
    pub(super) fn reach(&self, stage: Stage) {
        self.stage.modify(|now| {
            let earlier = *now < stage;
            *now = stage.max(*now);
            earlier
        });
    }

    /// Messages were lost. Monitors tell of that, but not in a node that is shutting down.
    pub(super) fn lose(&self, messages: usize) {
        if self.stage() != Stage::Running {
            self.lost.fetch_add(messages, Ordering::Relaxed);
        }
    }

    /// Messages that were lost since the node began to shut down.
    pub(super) fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether the mailbox of `pid` holds more than peers may put there, or than its own bound (L12), the last message
    /// having `len` bytes. The dead have none.
    pub(super) fn is_full(&self, pid: Pid, len: usize) -> bool {
        let messages = self.local.mailbox_size(pid).unwrap_or(0);
        let limits = &self.config;
        messages > limits.actor_messages
            || messages.saturating_mul(len) > limits.actor_bytes
            || self.local.is_overfull(pid)
    }

    /// The actor of this node that has `name`, for other nodes. One of a third node is nobody here: what peers send goes
    /// to actors of this node and no further, as a node that passed it on could not slow down who sends it, and two that
    /// named each other would pass it on for ever.
    pub(super) fn whereis(&self, name: &str) -> Option<Pid> {
        self.local.whereis(name).filter(|pid| !self.is_of_another_node(*pid))
    }

    /// Whether `pid` stands for an actor of another node.
    pub(super) fn is_of_another_node(&self, pid: Pid) -> bool {
        self.system().is_some_and(|system| system.is_remote(pid))
    }

    /// A deadline that works on any executor.
    pub(super) fn within<F: Future>(&self, limit: Duration, work: F) -> tokio::time::Timeout<F> {
        let _io = self.io.enter();
        tokio::time::timeout(limit, work)
    }
}

/// Counts a task down, also when it panics.
struct Done(Arc<Shared>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.tasks.modify(|count| {
            *count -= 1;
            *count == 0
        });
    }
}

/// The clock of all decisions: tokio's, so that tests may run it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
