//! A slot: the fixed place of an actor that senders see, and the token of the one who may run it.
//!
//! Two cache lines: one that senders write, and one for the owner, so that an actor which handles
//! messages does not wait for the line that its senders fight over.
#![allow(unsafe_code, reason = "the owner token guards an UnsafeCell; every block says why it is sound")]

mod bound;
mod lifo_slot;
mod push;
mod usage;

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::task::Waker;

pub(crate) use lifo_slot::{LifoSlot, LifoThief};

use bound::Bound;
use usage::Usage;

use super::cell::Cell;
use super::priority::Priority;
use super::signal::{Envelope, Signal};
use super::waker;
use crate::mailbox::{Chain, Inbox};
use crate::pid::{Pid, RESERVED_GENERATION};
use crate::sync::{self, AtomicBool, AtomicU32, AtomicU64, Ordering, UnsafeCell};

/// Bits of [`Slot::flags`].
pub(super) mod flag {
    /// The priority is high, or low, and else normal. Set where the actor starts.
    pub(crate) const HIGH: u32 = 1 << 8;
    pub(crate) const LOW: u32 = 1 << 9;
    /// `send(pid, bytes)` is accepted.
    pub(crate) const BYTES: u32 = 2;
    /// The actor has names in the registry.
    pub(crate) const NAMED: u32 = 4;
    /// A supervisor restarts the actor.
    pub(crate) const SUPERVISED: u32 = 8;
    /// The actor owns remote monitors.
    pub(crate) const OWNER: u32 = 16;
    /// Timers may send to the actor.
    pub(crate) const TIMED: u32 = 1024;
    /// Messages of peers that have not proved who they are do not reach the actor.
    pub(crate) const GUARDED: u32 = 4096;
    /// Messages go to the queue of a bounded mailbox.
    pub(crate) const BOUNDED: u32 = 32;
    /// The slot is a proxy's: everything goes to the node of the actor that it stands for.
    pub(crate) const REMOTE: u32 = 2048;
    /// Messages do not go into the inbox.
    pub(crate) const ELSEWHERE: u32 = BOUNDED | REMOTE;
}

/// The place of one actor after another. Slots are never freed, so a stale PID or handle reads a
/// live slot and finds another generation.
///
/// Invariant: all zero bytes are a free slot that was never used; see [`Slot::chunk`].
#[repr(C, align(128))]
pub(crate) struct Slot {
    inbox: Inbox<Envelope>,
    /// The generation of the actor that lives here, or of the next one. Zero, which no PID has,
    /// before the first.
    generation: AtomicU32,
    pub(super) flags: AtomicU32,
    /// The lane that runs the actor; 0 = the scheduler's workers.
    lane: AtomicU32,
    index: AtomicU32,
    /// The last version given to a hot swap that has not failed.
    pub(super) version: AtomicU64,
    /// The number of the runtime that uses the slot; see [`waker`](super::waker).
    runtime: AtomicU32,
    /// The queue of a bounded mailbox, once an actor with one has lived here.
    bound: Bound,
    /// Here, as the owner has this line anyway when a slice ends.
    usage: Usage,
    owner: OwnerLine,
}

/// What the owner writes, and senders seldom.
#[repr(align(64))]
struct OwnerLine {
    /// A signal that overtakes may be in the inbox: look before the next message.
    urgent: AtomicBool,
    /// The future that the actor waits for was woken, perhaps. Whoever sets it rouses the owner.
    woken: AtomicBool,
    /// User messages taken from the inbox and not yet handled. Written by the owner only.
    waiting: AtomicU32,
    /// Invariant: touched only through [`Ready`], of which there is at most one per slot; holds a
    /// cell from `occupy` to `close`.
    cell: UnsafeCell<MaybeUninit<Cell>>,
}

const _: () = assert!(sync::MODEL || size_of::<Slot>() == 128, "an idle actor is two cache lines");

// SAFETY: `cell` is reached only through the one `Ready` token; `Cell` is `Send`.
unsafe impl Sync for Slot {}

/// The right to run an actor. Whoever is told by a push that the actor was idle gets the only one;
/// it ends when the actor goes idle or exits.
pub(crate) struct Ready {
    slot: &'static Slot,
}

/// A slot whose actor has ended: not yet free.
pub(super) struct Closed {
    slot: &'static Slot,
}

/// What an owner may do with its slot while it has borrowed the cell.
pub(super) struct Hold<'a> {
    slot: &'static Slot,
    owner: PhantomData<&'a mut Ready>,
}

impl Slot {
    /// So many free slots, from memory that is not touched before a slot is used: a table can be
    /// large and cost only what lives in it.
    pub(super) fn chunk(slots: u32) -> &'static [Self] {
        if sync::MODEL {
            // Loom's atomics are not zero bytes.
            return Vec::leak((0..slots).map(|_| Self::free()).collect());
        }
        let layout = Layout::array::<Self>(slots as usize).expect("a chunk is far smaller than memory");
        // SAFETY: the layout has a size.
        let chunk = unsafe { alloc_zeroed(layout) }.cast::<Self>();
        if chunk.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: zero is a valid value of every field: the atomics are numbers, a flag and a null
        // pointer, and the cell may be uninitialised. The memory is never freed.
        unsafe { std::slice::from_raw_parts(chunk, slots as usize) }
    }

    fn free() -> Self {
        Self {
            inbox: Inbox::closed(),
            generation: AtomicU32::new(0),
            flags: AtomicU32::new(0),
            lane: AtomicU32::new(0),
            index: AtomicU32::new(0),
            version: AtomicU64::new(0),
            runtime: AtomicU32::new(0),
            bound: Bound::new(),
            usage: Usage::default(),
            owner: OwnerLine {
                urgent: AtomicBool::new(false),
                woken: AtomicBool::new(false),
                waiting: AtomicU32::new(0),
                cell: UnsafeCell::new(MaybeUninit::uninit()),
            },
        }
    }

    /// Prepares a free slot that this runtime uses for the first time.
    pub(super) fn adopt(&self, runtime: u32, index: u32, generation: u32) {
        self.runtime.store(runtime, Ordering::Relaxed);
        self.index.store(index, Ordering::Relaxed);
        self.generation.store(generation, Ordering::Release);
    }

    /// The PID of the actor that lives here or will live here next.
    pub(super) fn pid(&self) -> Pid {
        let index = self.index.load(Ordering::Relaxed);
        Pid::new(self.generation.load(Ordering::Acquire), index)
            .expect("next_generation never gives a reserved generation, and the slot was adopted")
    }

    pub(super) fn is_free(&self) -> bool {
        self.inbox.is_closed()
    }

    pub(super) fn is_alive(&self, pid: Pid) -> bool {
        self.generation.load(Ordering::Acquire) == pid.generation() && !self.inbox.is_closed()
    }

    /// The number of the runtime whose actors live here.
    pub(super) fn runtime(&self) -> u32 {
        self.runtime.load(Ordering::Relaxed)
    }

    pub(super) fn lane(&self) -> u32 {
        self.lane.load(Ordering::Relaxed)
    }

    /// User messages in the mailbox. Those that the owner takes out at this moment may be missing,
    /// and of more than a million that it has not yet looked at only so many are counted.
    pub(super) fn queued(&self) -> usize {
        let unbounded = (self.owner.waiting.load(Ordering::Relaxed) + self.inbox.len()) as usize;
        self.bounded().map_or(unbounded, |bounded| unbounded + bounded.len())
    }

    /// Whether nobody runs the actor, and nothing is there for it.
    pub(super) fn is_idle(&self) -> bool {
        self.inbox.is_idle()
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.flags.load(Ordering::Acquire) & flag != 0
    }

    /// Says that the future that the actor waits for should be polled; whether the caller must
    /// [`rouse`](Self::rouse) the actor, because nobody else will.
    pub(super) fn wake(&self) -> bool {
        !self.owner.woken.swap(true, Ordering::AcqRel)
    }

    /// Whether a wake has not been answered yet. Also read without the token.
    fn is_woken(&self) -> bool {
        self.owner.woken.load(Ordering::Acquire)
    }

    /// The right to run the actor, which must be scheduled, if it is idle.
    pub(super) fn rouse(&'static self) -> Option<Ready> {
        self.inbox.rouse().then_some(Ready { slot: self })
    }

    /// Puts an actor into a free slot. The caller took the slot from the free list, so it has it
    /// alone.
    pub(super) fn occupy(&'static self, cell: Cell, flags: u32, lane: u32) -> Ready {
        debug_assert!(self.is_free());
        self.flags.store(flags, Ordering::Relaxed);
        self.lane.store(lane, Ordering::Relaxed);
        self.version.store(1, Ordering::Relaxed);
        self.usage.reset();
        self.owner.waiting.store(0, Ordering::Relaxed);
        // SAFETY: nobody has a `Ready` of a free slot, and the caller has the slot alone.
        unsafe { (*self.owner.cell.get()).write(cell) };
        self.inbox.open();
        Ready { slot: self }
    }
}

impl Ready {
    pub(crate) fn pid(&self) -> Pid {
        self.slot.pid()
    }

    /// The lane that must run it.
    pub(crate) fn lane(&self) -> u32 {
        self.slot.lane()
    }

    /// Relaxed: written before the slot was opened, and the token came from there.
    #[inline]
    pub(crate) fn priority(&self) -> Priority {
        Priority::of(self.slot.flags.load(Ordering::Relaxed))
    }

    /// The cell, and what else an owner may do.
    pub(super) fn open(&mut self) -> (Hold<'_>, &mut Cell) {
        // SAFETY: there is at most one `Ready` per slot: a push hands one out only when it replaces
        // IDLE, `idle` and `close` consume it, and a free slot is occupied by the one who took it
        // from the free list. The AcqRel operations on the inbox word order one owner after another.
        // The slot holds a cell as long as a `Ready` exists.
        let cell = unsafe { (*self.slot.owner.cell.get()).assume_init_mut() };
        (Hold { slot: self.slot, owner: PhantomData }, cell)
    }

    /// Lets go of the actor; gives the right back if something arrived meanwhile.
    pub(super) fn idle(self) -> Option<Self> {
        if self.slot.inbox.try_idle() { None } else { Some(self) }
    }

    /// As [`idle`](Self::idle), for an actor that waits for a future: it is also woken by what wakes the
    /// future. The right that comes back may be another actor's, which has the slot by now, so it is
    /// to be scheduled and not used.
    pub(super) fn park(self) -> Option<Self> {
        let slot = self.slot;
        let busy = self.idle();
        // A wake before this found the actor busy, and has not scheduled it.
        if busy.is_none() && slot.is_woken() { slot.rouse() } else { busy }
    }

    /// Makes the PID dead: later sends fail. Returns the cell, with what was queued in its backlog.
    pub(super) fn close(self) -> (Closed, Cell) {
        let slot = self.slot;
        // SAFETY: the token is consumed here, so the cell is moved out once and not used again.
        let mut cell = unsafe { (*slot.owner.cell.get()).assume_init_read() };
        let generation = slot.generation.load(Ordering::Relaxed);
        slot.generation.store(next_generation(generation), Ordering::Release);
        slot.inbox.close(&mut cell.backlog);
        (Closed { slot }, cell)
    }
}

impl Closed {
    /// Read after the close: who marks an actor checks afterwards that it is still alive.
    pub(super) fn flags(&self) -> u32 {
        self.slot.flags.load(Ordering::Acquire)
    }

    /// The index for the free list.
    pub(super) fn vacate(self) -> u32 {
        self.slot.index.load(Ordering::Relaxed)
    }
}

impl Hold<'_> {
    /// Whether a signal that overtakes may have arrived.
    pub(super) fn is_urged(&self) -> bool {
        self.slot.owner.urgent.load(Ordering::Acquire)
    }

    /// Whether the future that the actor waits for was woken since the last call. Clears it, so that a
    /// wake during the poll counts again.
    ///
    /// A swap in either case: a wake that follows it sees what this owner saw, and one that does not
    /// is seen here, so no actor waits behind a flag that was left by a waker of an earlier one.
    pub(super) fn take_wake(&self) -> bool {
        self.slot.owner.woken.swap(false, Ordering::AcqRel)
    }

    /// Whether the next [`take_wake`](Self::take_wake) will say so.
    pub(super) fn is_woken(&self) -> bool {
        self.slot.is_woken()
    }

    /// Lets the actor be polled once more.
    pub(super) fn wake(&self) {
        self.slot.wake();
    }

    /// The waker of the actor's futures.
    pub(super) fn waker(&self) -> Waker {
        waker::of(self.slot)
    }

    /// Whether something has arrived.
    pub(super) fn has_arrivals(&self) -> bool {
        !self.slot.inbox.is_empty()
    }

    /// Takes what has arrived, split by what overtakes.
    #[inline(always)]
    pub(super) fn take(
        &self,
        urgent: &mut Chain<Envelope>,
        normal: &mut Chain<Envelope>,
        mut trapping: bool,
    ) {
        let OwnerLine { urgent: urged, waiting, .. } = &self.slot.owner;
        if urged.load(Ordering::Relaxed) {
            // Reads what the signal's sender wrote, so that the take below finds the signal.
            urged.swap(false, Ordering::AcqRel);
        }
        let is_urgent = |envelope: &Envelope| match envelope {
            Envelope::Urgent(signal) => {
                if let Signal::TrapExit(trap) = **signal {
                    trapping = trap;
                }
                true
            }
            Envelope::Exit(_) => !trapping,
            Envelope::User(_) | Envelope::Ordered(_) => false,
        };
        let is_user = |envelope: &Envelope| matches!(envelope, Envelope::User(_));
        let users = self.slot.inbox.take(urgent, normal, is_user, is_urgent);
        waiting.store(waiting.load(Ordering::Relaxed) + users, Ordering::Relaxed);
    }

    /// The lane that runs the actor.
    pub(super) fn lane(&self) -> u32 {
        self.slot.lane()
    }

    /// Has the actor run on another lane, from when its right to run is next scheduled.
    pub(super) fn set_lane(&self, lane: u32) {
        self.slot.lane.store(lane, Ordering::Relaxed);
    }

    /// Counts a user message as no longer waiting.
    pub(super) fn count_taken(&self) {
        let waiting = &self.slot.owner.waiting;
        waiting.store(waiting.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
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
