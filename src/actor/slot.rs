//! A slot: the fixed place of an actor that senders see, and the token of the one who may run it.
#![allow(unsafe_code, reason = "the owner token guards an UnsafeCell; every block says why it is sound")]

use super::cell::Cell;
use super::signal::{Envelope, Signal};
use crate::mailbox::{Chain, Inbox, Node, Push};
use crate::pid::{Pid, RESERVED_GENERATION};
use crate::sync::{AtomicU32, AtomicU64, Ordering, UnsafeCell};

/// Bits of [`Slot::flags`].
pub(super) mod flag {
    /// A signal that overtakes may be in the inbox: look before the next message.
    pub(crate) const URGENT: u32 = 1;
    /// `send(pid, bytes)` is accepted.
    pub(crate) const BYTES: u32 = 2;
    /// The actor has names in the registry.
    pub(crate) const NAMED: u32 = 4;
    /// A supervisor restarts the actor.
    pub(crate) const SUPERVISED: u32 = 8;
    /// The actor owns remote monitors.
    pub(crate) const OWNER: u32 = 16;
}

/// The place of one actor after another. Slots are never freed, so a stale PID or handle reads a
/// live slot and finds another generation.
#[repr(align(128))]
pub(crate) struct Slot {
    inbox: Inbox<Envelope>,
    /// The generation of the actor that lives here, or of the next one.
    generation: AtomicU32,
    pub(super) flags: AtomicU32,
    /// User messages pushed so far, for whichever actor; wraps.
    pushed: AtomicU32,
    /// User messages taken out so far, handled or not; wraps, written by the owner only. Neither
    /// count starts anew with an actor, because a push for the last one may still be on its way.
    taken: AtomicU32,
    /// The lane that runs the actor; 0 = the scheduler's workers.
    lane: AtomicU32,
    /// The last version given to a hot swap.
    pub(super) version: AtomicU64,
    index: u32,
    /// Invariant: touched only through [`Ready`], of which there is at most one per slot.
    cell: UnsafeCell<Option<Box<Cell>>>,
}

// SAFETY: `cell` is reached only through the one `Ready` token; `Cell` is `Send`.
unsafe impl Sync for Slot {}

/// The right to run an actor. Whoever is told by a push that the actor was idle gets the only one;
/// it ends when the actor goes idle or exits.
pub(crate) struct Ready {
    slot: &'static Slot,
}

impl Slot {
    pub(super) fn new(index: u32) -> Self {
        Self {
            inbox: Inbox::closed(),
            generation: AtomicU32::new(1),
            flags: AtomicU32::new(0),
            pushed: AtomicU32::new(0),
            taken: AtomicU32::new(0),
            lane: AtomicU32::new(0),
            version: AtomicU64::new(0),
            index,
            cell: UnsafeCell::new(None),
        }
    }

    /// Prepares a free slot for another runtime, whose PIDs begin at `generation`.
    pub(super) fn adopt(&self, generation: u32) {
        self.generation.store(generation, Ordering::Release);
    }

    /// The PID of the actor that lives here or will live here next.
    pub(super) fn pid(&self) -> Pid {
        Pid::new(self.generation.load(Ordering::Acquire), self.index)
            .expect("next_generation never gives a reserved generation")
    }

    pub(super) fn is_free(&self) -> bool {
        self.inbox.is_closed()
    }

    pub(super) fn is_alive(&self, pid: Pid) -> bool {
        self.generation.load(Ordering::Acquire) == pid.generation() && !self.inbox.is_closed()
    }

    pub(super) fn lane(&self) -> u32 {
        self.lane.load(Ordering::Relaxed)
    }

    /// User messages in the mailbox. A message that raced with the end of an earlier actor in this
    /// slot can make the count wrong by one for a moment; it is never negative.
    pub(super) fn queued(&self) -> usize {
        let queued = self.pushed.load(Ordering::Relaxed).wrapping_sub(self.taken.load(Ordering::Relaxed));
        queued.cast_signed().max(0).unsigned_abs() as usize
    }

    /// Counts a user message as taken. Owner only, so a plain store is enough.
    pub(super) fn count_taken(&self) {
        let taken = self.taken.load(Ordering::Relaxed);
        self.taken.store(taken.wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    /// Pushes for the actor `pid`. `Ok(Some)` hands over the right to run it, which must be
    /// scheduled; an error hands the envelope back because `pid` has ended.
    ///
    /// A slot that changes hands between the check and the push is caught by the generation in the
    /// node: the next owner discards it.
    pub(super) fn push(&'static self, pid: Pid, envelope: Envelope) -> Result<Option<Ready>, Envelope> {
        if self.generation.load(Ordering::Acquire) != pid.generation() {
            return Err(envelope);
        }
        let overtakes = matches!(envelope, Envelope::Urgent(_) | Envelope::Exit(_));
        let counted = matches!(envelope, Envelope::User(_));
        if counted {
            self.pushed.fetch_add(1, Ordering::Relaxed);
        }
        let pushed = self.inbox.push(Node::new(pid.generation(), envelope));
        if overtakes {
            // After the push, so that an owner who sees the flag also finds the signal.
            self.flags.fetch_or(flag::URGENT, Ordering::Release);
        }
        match pushed {
            Push::Queued => Ok(None),
            Push::WasIdle => Ok(Some(Ready { slot: self })),
            Push::Closed(node) => {
                if counted {
                    self.pushed.fetch_sub(1, Ordering::Relaxed);
                }
                Err(node.into_value())
            }
        }
    }

    /// Puts an actor into a free slot. The caller took the slot from the free list, so it has it
    /// alone.
    pub(super) fn occupy(&'static self, cell: Box<Cell>, flags: u32, lane: u32) -> Ready {
        debug_assert!(self.is_free());
        self.flags.store(flags, Ordering::Relaxed);
        self.lane.store(lane, Ordering::Relaxed);
        self.version.store(1, Ordering::Relaxed);
        let mut ready = Ready { slot: self };
        *ready.cell_mut() = Some(cell);
        self.inbox.open();
        ready
    }
}

impl Ready {
    pub(super) fn slot(&self) -> &'static Slot {
        self.slot
    }

    pub(super) fn pid(&self) -> Pid {
        self.slot.pid()
    }

    /// The lane that must run it.
    pub(crate) fn lane(&self) -> u32 {
        self.slot.lane()
    }

    pub(super) fn cell_mut(&mut self) -> &mut Option<Box<Cell>> {
        // SAFETY: there is at most one `Ready` per slot: a push hands one out only when it replaces
        // IDLE, `idle` and `exit` consume it, and a free slot is occupied by the one who took it
        // from the free list. The AcqRel operations on the inbox word order one owner after another.
        unsafe { &mut *self.slot.cell.get() }
    }

    /// Takes what has arrived, split by what overtakes.
    pub(super) fn take(
        &self,
        urgent: &mut Chain<Envelope>,
        normal: &mut Chain<Envelope>,
        mut trapping: bool,
    ) {
        self.slot.flags.fetch_and(!flag::URGENT, Ordering::AcqRel);
        self.slot.inbox.take(urgent, normal, |envelope| match envelope {
            Envelope::Urgent(signal) => {
                if let Signal::TrapExit(trap) = **signal {
                    trapping = trap;
                }
                true
            }
            Envelope::Exit(_) => !trapping,
            Envelope::User(_) | Envelope::Ordered(_) => false,
        });
    }

    /// Lets go of the actor; gives the right back if something arrived meanwhile.
    pub(super) fn idle(self) -> Option<Self> {
        if self.slot.inbox.try_idle() { None } else { Some(self) }
    }

    /// Makes the PID dead: later sends fail, what was queued is appended to `rest`. The slot is not
    /// yet free: [`vacate`](Self::vacate) ends that.
    pub(super) fn close(&mut self, rest: &mut Chain<Envelope>) {
        let generation = self.slot.generation.load(Ordering::Relaxed);
        self.slot.generation.store(next_generation(generation), Ordering::Release);
        self.slot.inbox.close(rest);
    }

    /// Empties the slot and returns its index for the free list.
    pub(super) fn vacate(mut self) -> (u32, Option<Box<Cell>>) {
        let cell = self.cell_mut().take();
        (self.slot.index, cell)
    }
}

/// The generation after this one, leaving out those that no PID may have.
fn next_generation(generation: u32) -> u32 {
    match generation.wrapping_add(1) {
        0 => 1,
        RESERVED_GENERATION => RESERVED_GENERATION + 1,
        next => next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_leave_out_zero_and_the_reserved_one() {
        assert_eq!(next_generation(u32::MAX), 1);
        assert_eq!(next_generation(RESERVED_GENERATION - 1), RESERVED_GENERATION + 1);
        assert_eq!(next_generation(7), 8);
    }
}
