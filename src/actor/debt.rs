//! What a sender to a very long queue owes: reductions of its own slice, as on the BEAM, so that who
//! floods another yields earlier and that one gets its turn.

use std::cell::Cell;

use super::current;
use crate::pid::Pid;
use crate::sync::thread_local;

/// Messages that make a queue long, and for each so many of which a send costs one reduction more.
const LONG: u32 = 1_000;
/// The most that one send costs.
const MOST: u32 = 100;
/// Of so many sends to a long queue one is charged, for all of them. The last of them, so that a queue too
/// long to be counted charges as well.
const EVERY: u32 = 16;

thread_local! {
    /// The actor that ran here when the last such message was sent, and what it owes.
    static DEBT: Cell<(Option<Pid>, u32)> = const { Cell::new((None, 0)) };
}

/// Notes that the actor that runs on this thread, if any, has sent to a queue of this length.
#[inline(always)]
pub(super) fn note(length: u32) {
    if length >= LONG && length % EVERY == EVERY - 1 {
        owe((length / LONG).min(MOST) * EVERY);
    }
}

/// As [`note`], for a batch that made the queue so long.
pub(super) fn owe_for(length: u32) {
    if length >= LONG {
        owe((length / LONG).min(MOST));
    }
}

/// Charges the actor that runs on this thread, if any.
#[cold]
fn owe(reductions: u32) {
    let Some(sender) = current() else { return };
    DEBT.with(|debt| {
        let owed = match debt.get() {
            (Some(debtor), owed) if debtor == sender => owed,
            _ => 0,
        };
        debt.set((Some(sender), owed.saturating_add(reductions)));
    });
}

/// What the actor owes; asked again, it owes nothing.
pub(super) fn take(pid: Pid) -> u32 {
    DEBT.with(|debt| match debt.get() {
        (Some(debtor), owed) if debtor == pid => {
            debt.set((None, 0));
            owed
        }
        _ => 0,
    })
}
