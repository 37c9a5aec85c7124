//! The slots of one runtime: chunks that never move, found by index without a lock.

use std::sync::atomic::{self, Ordering as StdOrdering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::slot::{Slot, flag};
use crate::pid::{Pid, RESERVED_GENERATION};
use crate::sync::{self, AtomicU32, Ordering, SegQueue};

/// Chunk `k` holds `FIRST << k` slots.
const FIRST: u32 = if sync::MODEL { 1 } else { 1024 };
const CHUNKS: usize = 22;

type Chunk = &'static [Slot];

/// Chunks of runtimes that ended. They are used again and never freed: a stale handle may still
/// look at them.
static POOL: [Mutex<Vec<Chunk>>; CHUNKS] = [const { Mutex::new(Vec::new()) }; CHUNKS];

/// Numbers runtimes. No slot of zeroed memory has the number of one.
static NEXT_RUNTIME: atomic::AtomicU32 = atomic::AtomicU32::new(1);

pub(super) struct Table {
    chunks: [OnceLock<Chunk>; CHUNKS],
    /// Slots given back, first in first out, so that an index rests as long as possible.
    free: SegQueue<u32>,
    /// The first index never used.
    fresh: AtomicU32,
    /// Where this runtime's generations begin: random, so that no other runtime's PID and none from
    /// before a restart fits (G9).
    first_generation: u32,
    /// Names this runtime in its slots.
    runtime: u32,
}

impl Table {
    /// A table with generations from a random number on.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        loop {
            let number = getrandom::u32()?;
            if number != 0 && number != RESERVED_GENERATION {
                return Ok(Self::starting_at(number));
            }
        }
    }

    /// A table with generations from `first_generation` on, which a PID may have.
    pub(super) fn starting_at(first_generation: u32) -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: SegQueue::new(),
            fresh: AtomicU32::new(0),
            first_generation,
            runtime: NEXT_RUNTIME.fetch_add(1, StdOrdering::Relaxed),
        }
    }

    /// The number of this runtime in this process.
    pub(super) fn runtime(&self) -> u32 {
        self.runtime
    }

    /// The slot that `pid` points at; whether `pid` still lives there is for the slot to say.
    pub(super) fn slot(&self, pid: Pid) -> Option<&'static Slot> {
        let (chunk, offset) = locate(pid.index())?;
        self.chunks[chunk].get().map(|slots| &slots[offset])
    }

    /// A free slot, the caller's alone.
    pub(super) fn take_free(&self) -> Option<&'static Slot> {
        if let Some(index) = self.free.pop() {
            let (chunk, offset) = locate(index)?;
            return self.chunks[chunk].get().map(|slots| &slots[offset]);
        }
        let index = self.fresh.fetch_add(1, Ordering::Relaxed);
        let (chunk, offset) = locate(index)?;
        let slot = &self.chunks[chunk].get_or_init(|| take_chunk(chunk))[offset];
        slot.adopt(self.runtime, index, self.first_generation);
        Some(slot)
    }

    pub(super) fn give_back(&self, index: u32) {
        self.free.push(index);
    }

    /// The PIDs of the actors that live now.
    pub(super) fn living(&self) -> impl Iterator<Item = Pid> + '_ {
        self.chunks
            .iter()
            .filter_map(OnceLock::get)
            .flat_map(|slots| slots.iter())
            .take(self.fresh.load(Ordering::Acquire) as usize)
            .filter(|slot| !slot.is_free() && !slot.has(flag::REMOTE))
            .map(Slot::pid)
    }
}

fn take_chunk(chunk: usize) -> Chunk {
    let pooled = POOL[chunk].lock().unwrap_or_else(PoisonError::into_inner).pop();
    pooled.unwrap_or_else(|| Slot::chunk(FIRST << chunk))
}

/// The pool, from which nobody else can take meanwhile.
pub(super) type HeldPool = Vec<MutexGuard<'static, Vec<Chunk>>>;

pub(super) fn hold() -> HeldPool {
    POOL.iter().map(|pool| pool.lock().unwrap_or_else(PoisonError::into_inner)).collect()
}

impl Drop for Table {
    fn drop(&mut self) {
        for (pool, chunk) in POOL.iter().zip(&self.chunks) {
            let Some(slots) = chunk.get() else { continue };
            // A chunk in which an actor still runs (a handler that never returned) is given up.
            if slots.iter().all(Slot::is_free) {
                pool.lock().unwrap_or_else(PoisonError::into_inner).push(slots);
            }
        }
    }
}

/// Chunk and offset of an index; `None` beyond the last chunk.
fn locate(index: u32) -> Option<(usize, usize)> {
    let scaled = index / FIRST + 1;
    let chunk = scaled.ilog2() as usize;
    let first = FIRST * ((1 << chunk) - 1);
    (chunk < CHUNKS).then(|| (chunk, (index - first) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_one_place() {
        assert_eq!(locate(0), Some((0, 0)));
        assert_eq!(locate(1023), Some((0, 1023)));
        assert_eq!(locate(1024), Some((1, 0)));
        assert_eq!(locate(3071), Some((1, 2047)));
        assert_eq!(locate(3072), Some((2, 0)));
        assert_eq!(locate(u32::MAX), None);
    }

    #[test]
    fn two_runtimes_share_no_slots_while_both_live_and_reuse_them_after() {
        let (a, b) = (Table::new().unwrap(), Table::new().unwrap());
        let (first, second) = (a.take_free().unwrap(), b.take_free().unwrap());
        assert!(!std::ptr::eq(first, second));
        drop(a);
        let c = Table::new().unwrap();
        c.take_free().unwrap();
        assert_ne!(c.first_generation, b.first_generation);
    }
}
