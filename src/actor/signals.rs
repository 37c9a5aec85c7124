//! What each system signal does to the actor that receives it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::signal::{ExitCause, ExitSignal, Signal, Swap, SystemMessage, Watcher};
use super::slice::{Step, Turn};
use super::{Behaviour, ExitReason, MonitorRef, discard, panic_text, shielded};
use crate::pid::Pid;

impl Turn<'_> {
    pub(super) fn signal(&mut self, signal: Signal) -> Step {
        match signal {
            Signal::Stop(_) | Signal::Swap(_) | Signal::SwapNow(_) | Signal::Rollback(_) => {
                return self.conclude_and(signal);
            }
            Signal::Kill => return Err(Box::new(ExitReason::Killed)),
            Signal::End { reason, asker_told } => {
                if asker_told {
                    self.bonds().tell_asker();
                }
                return Err(Box::new(reason));
            }
            Signal::Exit(exit) => return self.exit_signal(exit),
            Signal::Ping(from) => return self.ping(from),
            Signal::Down { monitor, target, reason } => return self.down(monitor, target, reason),
            Signal::System(message) => return self.tell(message),
            Signal::Watch(monitor, watcher) => self.bonds().watchers.push((monitor, watcher)),
            Signal::Unwatch(monitor) => self.bonds().unwatch(monitor),
            Signal::Monitoring(monitor, target) => {
                self.bonds().monitoring.insert(monitor, target);
            }
            Signal::Demonitor(monitor) => self.demonitor(monitor),
            Signal::Linked(other) => {
                self.bonds().links.insert(other);
            }
            Signal::Unlinked(other) => {
                self.bonds().links.remove(&other);
            }
            Signal::TrapExit(trap) => self.cell.trap_exit = trap,
            Signal::Mark(mark) => drop(mark),
            Signal::Inspect(inspection) => {
                let bonds = self.cell.bonds_of();
                shielded("an inspection", || inspection(bonds));
            }
        }
        Ok(())
    }

    fn bonds(&mut self) -> &mut super::cell::BondTables {
        self.cell.bonds.tables()
    }

    /// Tells the behaviour. While a future is parked it has the behaviour's state, so what overtakes
    /// (a PING) is not shown to it; ordered messages wait for the future anyway.
    fn tell(&mut self, message: SystemMessage) -> Step {
        if self.cell.parked {
            return Ok(());
        }
        self.call(|behaviour, cx| behaviour.system(message, cx))
    }

    /// The exit signal matrix (S34).
    fn exit_signal(&mut self, exit: ExitSignal) -> Step {
        let ExitSignal { from, reason, linked, afar } = exit;
        let known = from.is_some_and(|from| {
            linked && self.cell.bonds.existing().is_some_and(|tables| tables.links.remove(&from))
        });
        if linked && !known {
            return Ok(());
        }
        if self.cell.trap_exit {
            let target = from.unwrap_or(self.pid);
            return self.tell(SystemMessage::Exit { target, reason, cause: ExitCause::Signal });
        }
        if reason == ExitReason::Normal && from != Some(self.pid) {
            return Ok(());
        }
        if afar {
            self.bonds().afar = true;
        }
        Err(Box::new(reason))
    }

    fn ping(&mut self, from: Pid) -> Step {
        let pong = SystemMessage::Pong { from: self.pid };
        self.system.signal(from, Signal::System(pong));
        self.tell(SystemMessage::Ping { from })
    }

    fn down(&mut self, monitor: MonitorRef, target: Pid, reason: ExitReason) -> Step {
        let wanted =
            self.cell.bonds.existing().is_some_and(|tables| tables.monitoring.remove(&monitor).is_some());
        if !wanted {
            return Ok(());
        }
        self.tell(SystemMessage::Exit { target, reason, cause: ExitCause::Monitor(monitor) })
    }

    fn demonitor(&mut self, monitor: MonitorRef) {
        if let Some(target) = self.bonds().monitoring.remove(&monitor) {
            self.system.signal(target, Signal::Unwatch(monitor));
        }
    }

    /// Carries out what ends or replaces the code, once that has finished what it has begun.
    fn conclude_and(&mut self, signal: Signal) -> Step {
        if self.cell.parked {
            self.bonds().waiting.push(signal);
            return Ok(());
        }
        self.call(|behaviour, cx| behaviour.conclude(cx))?;
        if self.cell.parked {
            // Before those that came while it was parked.
            self.bonds().waiting.insert(0, signal);
            return Ok(());
        }
        match signal {
            Signal::Stop(reason) => self.call(|behaviour, cx| behaviour.stopping(reason, cx)),
            Signal::Swap(swap) | Signal::SwapNow(swap) => self.swap(swap),
            Signal::Rollback(version) => self.rollback(version),
            other => self.signal(other),
        }
    }

    /// What had to wait for the message being handled.
    pub(super) fn run_waiting(&mut self) -> Step {
        while !self.cell.parked
            && let Some(tables) = self.cell.bonds.existing()
            && !tables.waiting.is_empty()
        {
            let signal = tables.waiting.remove(0);
            self.conclude_and(signal)?;
        }
        Ok(())
    }

    /// Replaces the code; the old stays where the new cannot take over (S40).
    fn swap(&mut self, swap: Swap) -> Step {
        let Swap { mut behaviour, version } = swap;
        let error = match self.take_over(&mut behaviour, version) {
            Ok(()) => {
                let old_version = self.cell.version();
                self.cell.set_version(version);
                self.cell.remember(old_version, behaviour);
                None
            }
            Err(error) => {
                discard(behaviour);
                Some(error)
            }
        };
        self.report_swap(version, error)
    }

    /// Goes back to the newest code of the history. The code that was left is not kept, so that
    /// the next rollback goes further back; code that cannot take over again stays in the history.
    fn rollback(&mut self, version: u64) -> Step {
        let Some((old_version, mut behaviour)) =
            self.cell.bonds.existing().and_then(|tables| tables.history.pop())
        else {
            return self.report_swap(version, Some("there is no earlier version to go back to".to_owned()));
        };
        let error = self.take_over(&mut behaviour, version).err();
        if error.is_none() {
            self.cell.set_version(version);
            discard(behaviour);
        } else {
            self.cell.remember(old_version, behaviour);
        }
        self.report_swap(version, error)
    }

    /// Lets `new` take over the state and exchanges it with the running code.
    fn take_over(&mut self, new: &mut Box<dyn Behaviour>, version: u64) -> Result<(), String> {
        let cell = &mut *self.cell;
        let running = cell.version();
        let upgrade = || {
            if new.message_type() != cell.behaviour.message_type() {
                return Err("the new code takes another type of message".to_owned());
            }
            new.upgrade(cell.behaviour.state(), running)
        };
        catch_unwind(AssertUnwindSafe(upgrade)).unwrap_or_else(|panic| Err(panic_text(panic)))?;
        std::mem::swap(&mut cell.behaviour, new);
        self.change_lane();
        let (old, pid) = (new, self.pid);
        shielded("the code that was replaced", || old.replaced(pid, version));
        Ok(())
    }

    /// Says how the swap to the version `asked` went.
    fn report_swap(&mut self, asked: u64, error: Option<String>) -> Step {
        let version = self.cell.version();
        if let Some(error) = &error {
            self.system.forget_version(self.pid, asked, version);
            self.system.swap_failed(self.pid, version, error);
        }
        self.tell(SystemMessage::HotSwap { target: self.pid, version, error })
    }
}

/// Tells `watcher` that `target` has ended.
pub(super) fn tell_watcher(
    system: &super::System,
    monitor: MonitorRef,
    watcher: Watcher,
    target: Pid,
    reason: &ExitReason,
) {
    match watcher {
        Watcher::Actor(pid) => {
            system.signal(pid, Signal::Down { monitor, target, reason: reason.clone() });
        }
        Watcher::Once(call) => shielded("a callback for an exit", || call(reason)),
    }
}
