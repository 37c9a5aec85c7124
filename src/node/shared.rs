//! What every task of a node shares, and how they all end.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};

use super::link::Links;
use super::local::LocalNode;
use super::spin::Spin;
use super::throttle::LogLimit;
use crate::config::NodeConfig;
use crate::transport::Transport;

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
    /// Dialled connections at once (L07).
    pub(super) dialled: Arc<Semaphore>,
    pub(super) log: LogLimit,
    pub(super) links: Links,
    pub(super) spin: Spin,
    stage: watch::Receiver<Stage>,
    tasks: watch::Sender<usize>,
}

impl Shared {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        local: Arc<dyn LocalNode>,
        io: tokio::runtime::Handle,
        config: NodeConfig,
        stage: watch::Receiver<Stage>,
    ) -> Self {
        let links = Links::new(transport.identity());
        let connections = config.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            transport,
            local,
            io,
            accepted: Arc::new(Semaphore::new(connections)),
            dialled: Arc::new(Semaphore::new(connections)),
            spin: Spin::new(config.spin),
            config,
            log: LogLimit::new(),
            links,
            stage,
            tasks: watch::Sender::new(0),
        }
    }

    /// Runs a task of the node, which must end when the stage says so.
    pub(super) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.send_modify(|count| *count += 1);
        let done = Done(self.clone());
        self.io.spawn(async move {
            let _done = done;
            task.await;
        });
    }

    /// Waits until no task is left.
    pub(super) async fn all_done(&self) {
        // The sender lives in self, so this ends only when the count is zero.
        let _ = self.tasks.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(super) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until the node is at `stage` or beyond. A node that was dropped is beyond.
    pub(super) async fn at(&self, stage: Stage) {
        let _ = self.stage.clone().wait_for(|now| *now >= stage).await;
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
        self.0.tasks.send_modify(|count| *count -= 1);
    }
}

/// The clock of all decisions: tokio's, so that tests may run it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A number that spreads pauses and pings; not for secrets.
pub(super) fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
