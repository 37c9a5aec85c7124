//! What a process that forks must have in order: of all its threads the child has one, and gets no lock back that
//! another held at that moment.

use super::table::{self, HeldPool};
use super::waker::{self, HeldSystems};

/// Every lock that all runtimes of the process share, held by nobody else until it is dropped.
///
/// Take it right before `fork`, on the thread that forks, and drop it right after, in the parent and in the child. The
/// runtimes of the parent must not be touched in the child; it may start others.
#[must_use = "the locks are let go when it is dropped"]
pub struct ForkGuard {
    _systems: HeldSystems,
    _pool: HeldPool,
}

impl ForkGuard {
    /// Waits for the locks, each of which others hold for a moment only.
    pub fn hold() -> Self {
        Self { _systems: waker::hold(), _pool: table::hold() }
    }
}
