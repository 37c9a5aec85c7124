//! Who runs first where more actors are ready than there are workers.

use super::slot::flag;

/// How urgent the turns of an actor are. It decides which of the actors that are ready a worker takes
/// next, and neither interrupts a turn nor makes one longer.
///
/// Of any eight turns of a worker one goes to an actor of low priority and one to an actor of normal
/// priority, if such actors wait, so none waits for ever behind more urgent ones. The other turns go to
/// the most urgent that is ready.
///
/// All workers share one queue of high and one of low priority. That is right for a few actors: a
/// message to one costs a little more than to a normal actor, which stays on its sender's worker.
///
/// The actors of a [`Lane`](crate::scheduler::Lane) take turns by the same rule among themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Before all others: taken by the first worker that ends a turn.
    High,
    /// What actors are unless told otherwise.
    #[default]
    Normal,
    /// For work that can wait: when nothing else is ready, and every eighth turn.
    Low,
}

impl Priority {
    /// The bits that say so in the flags of a slot.
    pub(super) fn flags(self) -> u32 {
        match self {
            Self::High => flag::HIGH,
            Self::Normal => 0,
            Self::Low => flag::LOW,
        }
    }

    #[inline]
    pub(super) fn of(flags: u32) -> Self {
        match flags & (flag::HIGH | flag::LOW) {
            0 => Self::Normal,
            flag::HIGH => Self::High,
            _ => Self::Low,
        }
    }
}
