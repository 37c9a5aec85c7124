//! Who wants signs of life of a peer, and whether somebody is looking after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::error::{DownReason, PingError};
use super::monitors::{Firing, Monitors, OnDown};
use super::news::News;
use crate::actor::ExitReason;
use crate::pid::Pid;
use crate::transport::NodeAddr;

/// Callers that wait for a pong of one peer.
pub(super) const MAX_PINGS: usize = 1024;

/// Where the answer to a ping goes.
pub(super) type PingReply = oneshot::Sender<Result<Duration, PingError>>;

/// The demand for signs of life of one peer.
pub(super) struct Watch {
    addr: NodeAddr,
    news: Arc<News>,
    demand: Mutex<Demand>,
    /// Asks the task for a ping at once.
    pub(super) probed: Notify,
}

struct Demand {
    monitors: Monitors,
    /// Asked, and no ping sent for them yet.
    waiting: Vec<PingReply>,
    /// A ping is under way for them.
    asked: Vec<PingReply>,
    /// It is up, and whoever follows the nodes wants to know when that changes.
    attended: bool,
    /// A task is looking after this peer.
    watched: bool,
    closed: bool,
    round_trip: Option<Duration>,
}

/// Whether the caller has to start the task that watches.
#[must_use]
pub(super) enum Start {
    Needed,
    Running,
}

impl Watch {
    pub(super) fn new(addr: NodeAddr, news: Arc<News>) -> Self {
        let demand = Demand {
            monitors: Monitors::new(addr.clone()),
            waiting: Vec::new(),
            asked: Vec::new(),
            attended: false,
            watched: false,
            closed: false,
            round_trip: None,
        };
        Self { addr, news, demand: Mutex::new(demand), probed: Notify::new() }
    }

    /// Adds a monitor. One that cannot be added fires at once.
    pub(super) fn monitor(&self, id: u64, pid: Pid, from: Option<Pid>, on_down: OnDown) -> Start {
        let mut demand = self.demand();
        let refused = if demand.closed {
            Err(Box::new(demand.monitors.firing(pid, on_down, DownReason::Closed)))
        } else {
            demand.monitors.add(id, pid, from, on_down)
        };
        match refused {
            Ok(()) => demand.start(),
            Err(firing) => {
                drop(demand);
                fire(*firing);
                Start::Running
            }
        }
    }

    /// The peer is up, and is to be pinged as long as it is and anybody follows the nodes.
    pub(super) fn attend(&self) -> Start {
        let mut demand = self.demand();
        demand.attended = !demand.closed;
        if demand.closed { Start::Running } else { demand.start() }
    }

    /// Removes a monitor and says whom it watched; `None` if it has fired.
    pub(super) fn demonitor(&self, id: u64) -> Option<Pid> {
        let removed = self.demand().monitors.remove(id);
        // The callback is dropped here, without the lock, since it may own anything.
        removed.map(|(pid, _)| pid)
    }

    /// Every monitor with its target and who made it.
    pub(super) fn monitors(&self) -> Vec<(u64, Pid, Option<Pid>)> {
        self.demand().monitors.all()
    }

    /// The peer says that a monitored actor has ended.
    pub(super) fn ended(&self, id: u64, why: &ExitReason) {
        let firing = {
            let mut demand = self.demand();
            let removed = demand.monitors.remove(id);
            removed.map(|(pid, on_down)| demand.monitors.firing(pid, on_down, DownReason::Ended(why.clone())))
        };
        if let Some(firing) = firing {
            fire(firing);
            self.probed.notify_one();
        }
    }

    /// Whether somebody waits for a ping to be sent.
    pub(super) fn has_waiting(&self) -> bool {
        let mut demand = self.demand();
        demand.forget_absent();
        !demand.waiting.is_empty()
    }

    /// Asks for a ping.
    pub(super) fn ping(&self, reply: PingReply) -> Result<Start, PingError> {
        let mut demand = self.demand();
        if demand.closed {
            return Err(PingError::Closed);
        }
        demand.forget_absent();
        if demand.waiting.len() + demand.asked.len() >= MAX_PINGS {
            return Err(PingError::Busy { addr: self.addr.clone(), max: MAX_PINGS });
        }
        demand.waiting.push(reply);
        self.probed.notify_one();
        Ok(demand.start())
    }

    /// Something happened that makes the peer suspect: if it is watched, it is pinged at once.
    pub(super) fn probe(&self) {
        if self.demand().watched {
            self.probed.notify_one();
        }
    }

    /// Whether anybody still wants signs of life. If not, the task has to end: the next demand starts
    /// another one.
    pub(super) fn is_wanted(&self) -> bool {
        let mut demand = self.demand();
        demand.forget_absent();
        demand.attended &= self.news.is_followed();
        demand.watched = demand.is_wanted();
        demand.watched
    }

    /// Whether anybody wants signs of life, or a task looks after it.
    pub(super) fn is_busy(&self) -> bool {
        let demand = self.demand();
        demand.watched || demand.is_wanted()
    }

    /// A ping is being sent.
    pub(super) fn pinged(&self) {
        let mut demand = self.demand();
        let mut waiting = std::mem::take(&mut demand.waiting);
        demand.asked.append(&mut waiting);
    }

    /// A pong came. True if somebody asked after its ping was sent.
    pub(super) fn ponged(&self, round_trip: Duration) -> bool {
        let mut demand = self.demand();
        demand.round_trip = Some(round_trip);
        for reply in demand.asked.drain(..) {
            // The asker may have given up.
            let _ = reply.send(Ok(round_trip));
        }
        !demand.waiting.is_empty()
    }

    /// The lane ended before the pong: who asked, asks again.
    pub(super) fn unanswered(&self) {
        let mut demand = self.demand();
        let mut asked = std::mem::take(&mut demand.asked);
        demand.waiting.append(&mut asked);
    }

    /// The peer is gone: every monitor fires, every ping fails.
    pub(super) fn down(&self, reason: &DownReason) {
        let (firings, pings) = {
            let mut demand = self.demand();
            demand.attended = false;
            (demand.monitors.fire(reason), demand.take_pings())
        };
        firings.into_iter().for_each(fire);
        for reply in pings {
            let error = PingError::NoConnection { addr: self.addr.clone(), reason: reason.to_string() };
            // The asker may have given up.
            let _ = reply.send(Err(error));
        }
    }

    /// A connection to the peer broke: every monitor fires; pings go on and find out more.
    pub(super) fn lost(&self, reason: &DownReason) {
        let firings = self.demand().monitors.fire(reason);
        firings.into_iter().for_each(fire);
    }

    /// The node is shut down: monitors are dropped without a word, pings fail.
    pub(super) fn close(&self) {
        let (monitors, pings) = {
            let mut demand = self.demand();
            demand.closed = true;
            (demand.monitors.fire(&DownReason::Closed), demand.take_pings())
        };
        // Dropped without the lock, since callbacks may own anything.
        drop(monitors);
        pings.into_iter().for_each(|reply| drop(reply.send(Err(PingError::Closed))));
    }

    /// The number of monitors and the last round trip.
    pub(super) fn info(&self) -> (usize, Option<Duration>) {
        let demand = self.demand();
        (demand.monitors.len(), demand.round_trip)
    }

    fn demand(&self) -> MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Demand {
    fn start(&mut self) -> Start {
        if std::mem::replace(&mut self.watched, true) { Start::Running } else { Start::Needed }
    }

    fn is_wanted(&self) -> bool {
        let asked = !self.waiting.is_empty() || !self.asked.is_empty();
        !self.closed && (asked || self.attended || !self.monitors.is_empty())
    }

    fn forget_absent(&mut self) {
        self.waiting.retain(|reply| !reply.is_closed());
        self.asked.retain(|reply| !reply.is_closed());
    }

    fn take_pings(&mut self) -> Vec<PingReply> {
        let mut pings = std::mem::take(&mut self.waiting);
        pings.append(&mut self.asked);
        pings
    }
}

/// Tells one monitor. A callback that panics must not take the others with it.
fn fire(firing: Firing) {
    let Firing { on_down, event } = firing;
    if catch_unwind(AssertUnwindSafe(|| on_down(event))).is_err() {
        tracing::error!("the callback of a remote monitor panicked");
    }
}
