//! What a sender to a very long queue owes: reductions of its own slice, as on the BEAM, so that who
//! floods another yields earlier and that one gets its turn.

use std::cell::Cell;

use super::current;
use crate::pid::Pid;
use crate::sync::thread_local;

/// Messages that make a queue long, and for each so many of which a send costs one reduction more.
const LONG: u32 = 1_000;
/// The most that one message costs.
const MOST: u32 = 100;
/// Of so many sends to a long queue one is charged, for all of them. The last of them, so that a queue too
/// long to be counted charges as well.
const EVERY: u32 = 16;

thread_local! {
    /// The actor that ran here when the last such message was sent, and what it owes.
    static DEBT: Cell<(Option<Pid>, u32)> = const { Cell::new((None, 0)) };
}

/// Notes a send of one message to a queue of this length. Most are not worth a call.
#[inline(always)]
pub(super) fn owe_for_one(length: u32) {
    if length >= LONG && length % EVERY == EVERY - 1 {
        owe(length, EVERY);
    }
}

/// As [`owe_for_one`], for so many messages at once.
pub(super) fn owe_for(length: u32, messages: u32) {
    if length >= LONG {
        owe(length, messages);
    }
}

/// Notes that the actor that runs on this thread, if any, has sent so many messages to a queue of this
/// length.
#[cold]
fn owe(length: u32, messages: u32) {
    let Some(sender) = current() else { return };
    DEBT.with(|debt| {
        let owed = match debt.get() {
            (Some(debtor), owed) if debtor == sender => owed,
            _ => 0,
        };
        let price = (length / LONG).min(MOST).saturating_mul(messages);
        debt.set((Some(sender), owed.saturating_add(price)));
    });
}

/// Forgets what is owed on this thread. In a simulation, whose PIDs come back with its seed, a later one
/// would pay it.
pub(crate) fn forgive() {
    DEBT.with(|debt| debt.set((None, 0)));
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
