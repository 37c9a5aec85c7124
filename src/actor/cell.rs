//! What only the running owner of an actor touches.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use super::signal::{Envelope, MonitorRef, Signal, Watcher};
use super::{Behaviour, ParkedFuture, Reply, discard};
use crate::mailbox::{Chain, Payload};
use crate::pid::Pid;

/// Earlier versions kept for rollback; older ones are dropped.
const HISTORY: usize = 8;

pub(crate) struct Cell {
    pub(super) behaviour: Box<dyn Behaviour>,
    /// Taken from the inbox and not yet handled, in order.
    pub(super) backlog: Chain<Envelope>,
    /// What [`Flow::Park`](super::Flow::Park) gave; only while `parked`.
    pub(super) future: Option<Box<ParkedFuture>>,
    pub(super) bonds: Bonds,
    /// Messages per slice.
    pub(super) budget: u32,
    pub(super) started: bool,
    /// A message is not finished: `future` is polled, or without one the behaviour resumed, when the
    /// actor is woken.
    pub(super) parked: bool,
    /// Whether exits of linked actors arrive as messages.
    pub(super) trap_exit: bool,
    /// Whether its messages lie in the queue of a bounded mailbox.
    pub(super) bounded: bool,
}

/// Links, monitors, and other things that most actors never have; allocated when first used.
#[derive(Default)]
pub(crate) struct Bonds {
    tables: Option<Box<BondTables>>,
}

#[derive(Default)]
pub(super) struct BondTables {
    /// Sorted, as what is told at the end is told in this order, and nothing visible may be left to
    /// the addresses or the random seed of a hash table.
    pub(super) links: BTreeSet<Pid>,
    /// Who is told when this actor ends.
    pub(super) watchers: Vec<(MonitorRef, Watcher)>,
    /// Whom this actor monitors. A DOWN whose reference is not here is dropped (S27).
    pub(super) monitoring: BTreeMap<MonitorRef, Pid>,
    /// Stops, swaps and rollbacks that wait until a message that was begun is finished.
    pub(super) waiting: Vec<Signal>,
    /// Earlier versions, oldest first.
    pub(super) history: Vec<(u64, Box<dyn Behaviour>)>,
    /// Where the mailbox is bounded: taken from the inbox, to be obeyed behind messages of its queue.
    pub(super) behind: Chain<Envelope>,
    /// The way back for the answer to the message that is being handled.
    pub(super) asked: Option<Reply<Payload>>,
    /// Who asked was told of the failure by which this actor ends.
    pub(super) asker_told: bool,
    /// The version that runs, if it is not the first.
    pub(super) version: Option<NonZeroU64>,
}

impl Cell {
    pub(super) fn new(behaviour: Box<dyn Behaviour>, budget: u32) -> Self {
        Self {
            behaviour,
            backlog: Chain::new(),
            future: None,
            bonds: Bonds::default(),
            budget: budget.max(1),
            started: false,
            parked: false,
            trap_exit: false,
            bounded: false,
        }
    }

    /// The version of `behaviour`.
    pub(super) fn version(&mut self) -> u64 {
        self.bonds.existing().and_then(|tables| tables.version).map_or(1, NonZeroU64::get)
    }

    pub(super) fn set_version(&mut self, version: u64) {
        self.bonds.tables().version = NonZeroU64::new(version);
    }

    /// Keeps `behaviour` for a rollback.
    pub(super) fn remember(&mut self, version: u64, behaviour: Box<dyn Behaviour>) {
        let history = &mut self.bonds.tables().history;
        if history.len() == HISTORY {
            discard(history.remove(0));
        }
        history.push((version, behaviour));
    }
}

impl BondTables {
    /// Forgets whom to tell; nothing if the monitor is not known.
    pub(super) fn unwatch(&mut self, monitor: MonitorRef) {
        if let Some(place) = self.watchers.iter().position(|(known, _)| *known == monitor) {
            discard(self.watchers.remove(place));
        }
    }
}

impl Bonds {
    /// The tables, made if need be.
    pub(super) fn tables(&mut self) -> &mut BondTables {
        self.tables.get_or_insert_default()
    }

    /// The tables, if anything was ever put in.
    pub(super) fn existing(&mut self) -> Option<&mut BondTables> {
        self.tables.as_deref_mut()
    }

    pub(super) fn take(&mut self) -> BondTables {
        self.tables.take().map_or_else(BondTables::default, |tables| *tables)
    }
}
