//! Process identifiers.

use std::fmt;
use std::num::NonZeroU64;

/// The generation that no PID ever has: the wire uses it to tell "this peer is ours" from a
/// resolve answer (`PROTOCOL.md`, negotiation).
pub const RESERVED_GENERATION: u32 = 0xFFFF_4D32;

/// Names an actor: `generation:u32 << 32 | index:u32`.
///
/// Zero is never a PID; on the wire it means "no such name". The generation starts at a random
/// value in every runtime, so a PID from before a restart names nobody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pid(NonZeroU64);

impl Pid {
    /// Joins a generation and a slot index.
    ///
    /// Returns `None` for the generations that are never used: zero and
    /// [`RESERVED_GENERATION`].
    pub const fn new(generation: u32, index: u32) -> Option<Self> {
        if generation == 0 || generation == RESERVED_GENERATION {
            return None;
        }
        match NonZeroU64::new(((generation as u64) << 32) | index as u64) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// Reads a PID from its number; `None` for zero.
    ///
    /// Any other number is accepted, because a remote node may count its PIDs as it likes.
    pub const fn from_u64(raw: u64) -> Option<Self> {
        match NonZeroU64::new(raw) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }

    /// The number that goes on the wire and to Python.
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }

    /// The upper half: how often the slot was used, from a random start.
    pub const fn generation(self) -> u32 {
        (self.0.get() >> 32) as u32
    }

    /// The lower half: which slot.
    pub const fn index(self) -> u32 {
        self.0.get() as u32
    }
}

impl fmt::Debug for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pid({:x}.{})", self.generation(), self.index())
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_generation_then_index() {
        let pid = Pid::new(7, 9).unwrap();
        assert_eq!((pid.generation(), pid.index()), (7, 9));
        assert_eq!(pid.as_u64(), 7 << 32 | 9);
        assert_eq!(Pid::from_u64(pid.as_u64()), Some(pid));
    }

    #[test]
    fn zero_and_the_reserved_generation_are_never_pids() {
        assert_eq!(Pid::from_u64(0), None);
        assert_eq!(Pid::new(0, 1), None);
        assert_eq!(Pid::new(RESERVED_GENERATION, 1), None);
    }
}
