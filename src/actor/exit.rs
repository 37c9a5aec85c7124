//! The one way an actor ends.

use std::sync::Arc;

use super::ask::Ending;
use super::cell::{BondTables, Cell};
use super::signal::{Envelope, ExitSignal, Signal, Watcher};
use super::signals::tell_watcher;
use super::slot::{Ready, flag};
use super::{ExitReason, System, discard, shielded};
use crate::mailbox::{Chain, NodeRun};
use crate::pid::Pid;

/// What the parts of the runtime that keep books about actors are told of an end.
#[derive(Debug)]
pub struct ExitNotice<'a> {
    /// Who ended.
    pub pid: Pid,
    /// Why.
    pub reason: &'a ExitReason,
    /// Whether the registry holds names of it.
    pub named: bool,
    /// Whether it has ever been supervised.
    pub supervised: bool,
    /// Whether it owns remote monitors.
    pub owner: bool,
    /// Whether no link or monitor hears of it.
    pub unnoticed: bool,
    /// Whether who asked was told of the failure, as the outcome of the question in which it came.
    pub asker_told: bool,
}

/// Told of every end, in this order.
pub trait ExitHook: Send + Sync {
    /// Release what the actor held (names): monitors and links have not been told yet (G7, S31).
    fn release(&self, notice: &ExitNotice<'_>);
    /// The PID is dead, everybody was told, and its slot is free: restart it, report it.
    fn ended(&self, notice: &ExitNotice<'_>);
}

/// Ends the actor. The order is part of the contract: last call, PID dead, names free, what was
/// queued accounted for, DOWN and EXIT, slot free, supervisor.
pub(super) fn exit(mut ready: Ready, system: &Arc<System>, reason: ExitReason) {
    let pid = ready.pid();
    // Before the last call, which drops a parked handler and what it would have answered.
    let ending = Ending::because(pid, &reason);
    last_call(ready.open().1, &reason);

    let (closed, mut cell) = ready.close();
    let flags = closed.flags();
    let mut rest = std::mem::take(&mut cell.backlog);
    let mut bonds = cell.bonds.take();
    rest.append(std::mem::take(&mut bonds.behind));
    collect_late(system, pid, rest, &mut bonds, &reason);
    for message in closed.unbind() {
        system.undeliverable(pid, Envelope::User(message), &reason);
    }
    let watched = bonds.watchers.iter().any(|(_, watcher)| matches!(watcher, Watcher::Actor(_)));
    let notice = ExitNotice {
        pid,
        reason: &reason,
        named: flags & flag::NAMED != 0,
        supervised: flags & flag::SUPERVISED != 0,
        owner: flags & flag::OWNER != 0,
        unnoticed: !watched && bonds.links.is_empty() && flags & flag::REMOTE == 0,
        // A way back that lies here still is that of the message in which the handler failed.
        asker_told: bonds.asker_told || bonds.asked.as_ref().is_some_and(|asked| !asked.is_abandoned()),
    };
    system.hooks().release(&notice);
    if flags & flag::TIMED != 0 {
        system.forget_timers(pid);
    }
    tell_bonds(system, pid, &mut bonds, &reason);

    discard(cell);
    bonds.history.into_iter().for_each(discard);
    bonds.waiting.into_iter().for_each(discard);
    discard(bonds.asked);
    drop(ending);
    system.vacate(closed);
    system.hooks().ended(&notice);
}

/// Gives the behaviour its last call where it is still whole.
fn last_call(cell: &mut Cell, reason: &ExitReason) {
    let parked = std::mem::take(&mut cell.parked);
    let whole = !parked && !matches!(reason, ExitReason::Killed | ExitReason::Panic(_));
    discard(cell.future.take());
    if parked {
        shielded("the cancelling of a handler", || cell.behaviour.cancel());
    }
    if whole && cell.started {
        shielded("the last call of an actor", || cell.behaviour.stopped(reason));
    }
}

/// Accounts for what was still in the mailbox. Requests to watch or link that came before the end
/// are honoured with the real reason; messages become dead letters.
fn collect_late(
    system: &Arc<System>,
    pid: Pid,
    mut rest: Chain<Envelope>,
    bonds: &mut BondTables,
    reason: &ExitReason,
) {
    let mut run = NodeRun::new();
    while let Some(node) = rest.pop() {
        let (generation, envelope) = node.open(&mut run);
        let target = Pid::new(generation, pid.index()).unwrap_or(pid);
        match envelope {
            Envelope::Urgent(signal) if target == pid => match *signal {
                Signal::Watch(monitor, watcher) => bonds.watchers.push((monitor, watcher)),
                Signal::Unwatch(monitor) => bonds.unwatch(monitor),
                Signal::Linked(other) => {
                    bonds.links.insert(other);
                }
                Signal::Unlinked(other) => {
                    bonds.links.remove(&other);
                }
                other => discard(other),
            },
            other => system.undeliverable(target, other, reason),
        }
    }
}

/// DOWN to who watches, EXIT to who is linked; monitors of this actor are taken back.
fn tell_bonds(system: &Arc<System>, pid: Pid, bonds: &mut BondTables, reason: &ExitReason) {
    for (monitor, watcher) in bonds.watchers.drain(..) {
        tell_watcher(system, monitor, watcher, pid, reason);
    }
    for other in std::mem::take(&mut bonds.links) {
        let exit = ExitSignal { from: Some(pid), reason: reason.clone(), linked: true };
        system.signal(other, Signal::Exit(exit));
    }
    for (monitor, target) in std::mem::take(&mut bonds.monitoring) {
        system.signal(target, Signal::Unwatch(monitor));
    }
}
