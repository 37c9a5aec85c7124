//! What can be told about a living actor.

use std::time::Duration;

use super::cell::Cell;
use super::slot::flag;
use super::{Priority, Signal, System, Watcher};
use crate::mailbox::Bounded;
use crate::pid::Pid;
use crate::sync::Ordering;

/// An actor as its senders see it. A moment later it may be another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorInfo {
    /// The actor.
    pub pid: Pid,
    /// Its names, in the order in which it got them.
    pub names: Vec<String>,
    /// Whether it has nothing to do: no message waits, and none is being handled, unless by a future
    /// that waits for something else.
    pub idle: bool,
    /// User messages that wait.
    pub mailbox_size: usize,
    /// How many may wait; `None` where there is no bound.
    pub mailbox_capacity: Option<usize>,
    /// The version of its code once all swaps asked for so far are done; 1 at spawn. One that has failed does not count,
    /// and the next has its number. The one that runs is in [`ActorBonds::version`].
    pub version: u64,
    /// Its priority.
    pub priority: Priority,
    /// The number of the lane that runs it; see [`SpawnOptions::lane`](super::SpawnOptions::lane).
    pub lane: u32,
    /// Whether a supervisor has started it.
    pub supervised: bool,
    /// What it has done so far: one for each message, for each signal that waits for its turn and for each poll of a
    /// future, what its handler has [consumed](super::Context::consume) besides, and what it pays for sending to an
    /// actor that is behind. A slice counts when it is over.
    pub reductions: u64,
    /// For how long its handler has run. A watchdog looks every few milliseconds who runs, so this is exact
    /// only for who runs long or often; waiting in a call that makes way for others is left out. On the
    /// threads for blocking work the time of each slice is taken, waiting included, when it is over.
    /// Zero in a [simulation](crate::sim).
    pub run_time: Duration,
}

/// What an order of actors goes by, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TopBy {
    /// [`ActorInfo::mailbox_size`].
    MailboxSize,
    /// [`ActorInfo::reductions`].
    Reductions,
    /// [`ActorInfo::run_time`].
    RunTime,
}

/// What an actor has done: reductions, and the time that its code ran.
pub(crate) type Work = (u64, Duration);

/// Whom an actor will tell of its end and of whose it will hear, as it answered itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorBonds {
    /// Linked actors.
    pub links: Vec<Pid>,
    /// The actors that it monitors, as often as it does.
    pub monitors: Vec<Pid>,
    /// The actors that monitor it, as often as they do.
    pub monitored_by: Vec<Pid>,
    /// Whether exits of linked actors come as messages.
    pub trap_exit: bool,
    /// The version that runs.
    pub version: u64,
    /// The versions to which a rollback can go back, oldest first.
    pub history: Vec<u64>,
}

/// Receives what an actor says of itself.
pub(crate) type Inspection = Box<dyn FnOnce(ActorBonds) + Send>;

impl System {
    /// What senders can see of an actor; without its names. `None` for the dead.
    pub(crate) fn info(&self, pid: Pid) -> Option<ActorInfo> {
        let slot = self.slot(pid).filter(|slot| slot.is_alive(pid))?;
        let info = ActorInfo {
            pid,
            names: Vec::new(),
            idle: slot.is_idle(),
            mailbox_size: slot.queued(),
            mailbox_capacity: slot.bounded_for(pid).map(Bounded::capacity),
            version: slot.version.load(Ordering::Acquire),
            priority: Priority::of(slot.flags.load(Ordering::Acquire)),
            lane: slot.lane(),
            supervised: slot.has(flag::SUPERVISED),
            reductions: slot.reductions(),
            run_time: slot.run_time(),
        };
        // Another actor may have moved in meanwhile.
        slot.is_alive(pid).then_some(info)
    }

    /// What an actor has done so far; `None` for the dead.
    pub(crate) fn work_of(&self, pid: Pid) -> Option<Work> {
        let slot = self.slot(pid).filter(|slot| slot.is_alive(pid))?;
        Some((slot.reductions(), slot.run_time()))
    }

    /// Says that the code of an actor ran for so long.
    pub(crate) fn has_run(&self, pid: Pid, time: Duration) {
        if let Some(slot) = self.slot(pid) {
            slot.add_run_time(pid, time);
        }
    }

    /// Asks an actor for its bonds, before its next message. `false` for the dead.
    pub(crate) fn inspect(&self, pid: Pid, inspection: Inspection) -> bool {
        self.signal(pid, Signal::Inspect(inspection))
    }
}

impl Cell {
    /// What the actor says of itself.
    pub(super) fn bonds_of(&mut self) -> ActorBonds {
        let (trap_exit, version) = (self.trap_exit, self.version());
        let Some(tables) = self.bonds.existing() else {
            return ActorBonds { trap_exit, version, ..ActorBonds::default() };
        };
        let watcher = |watcher: &Watcher| match watcher {
            Watcher::Actor(pid) => Some(*pid),
            Watcher::Once(_) => None,
        };
        ActorBonds {
            links: tables.links.iter().copied().collect(),
            monitors: tables.monitoring.values().copied().collect(),
            monitored_by: tables.watchers.iter().filter_map(|(_, by)| watcher(by)).collect(),
            trap_exit,
            version,
            history: tables.history.iter().map(|(version, _)| *version).collect(),
        }
    }
}
