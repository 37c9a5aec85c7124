//! Before its end an actor has its code wind up.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::cell::Cell;
use super::slice::{Step, Turn};
use super::{Context, ExitReason, Flow};

impl Turn<'_> {
    /// The actor is to end for `reason`, and goes on only to wind up. It does not for a kill or a panic; another reason that
    /// comes meanwhile changes nothing.
    ///
    /// Invariant: while it winds up it is parked, with the reason in its tables. Once it resumes and is parked no more, it
    /// ends for that.
    #[cold]
    pub(super) fn wind_up(&mut self, reason: Box<ExitReason>) -> Step {
        let Cell { behaviour, bonds, trap_exit, parked, started, .. } = &mut *self.cell;
        if !*started || matches!(*reason, ExitReason::Killed | ExitReason::Panic(_)) {
            return Err(reason);
        }
        if let Some(first) = bonds.existing().and_then(|tables| tables.ending.take()) {
            if !*parked {
                return Err(first);
            }
            bonds.tables().ending = Some(first);
            return Ok(());
        }
        let (system, pid, spent) = (self.system, self.pid, &mut self.spent);
        let mut cx = Context { system, pid, bonds, trap_exit, spent };
        let flow = catch_unwind(AssertUnwindSafe(|| behaviour.wind_up(&reason, &mut cx)));
        if !matches!(flow, Ok(Flow::Waiting)) {
            return Err(reason);
        }
        self.cell.parked = true;
        self.cell.bonds.tables().ending = Some(reason);
        Ok(())
    }
}
