//! How many messages a mailbox holds, and what happens to one more.

use crate::pid::Pid;

/// How many user messages may wait in an actor's mailbox. System messages always find room.
///
/// ```
/// use myrmidon::mailbox::{Mailbox, Overflow};
///
/// let newest = Mailbox::bounded(100).overflow(Overflow::DropOld);
/// assert_eq!(newest.capacity(), Some(100));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mailbox {
    /// As many as memory holds, as on the BEAM.
    #[default]
    Unbounded,
    /// At most `capacity` that were not yet given to the handler.
    Bounded {
        /// Messages; zero counts as one.
        capacity: usize,
        /// What happens to a message that finds no room.
        overflow: Overflow,
    },
}

/// What happens to a message that finds a bounded mailbox full. One of another node, whose sender was told before that
/// it is taken, goes beyond the bound where it would fail here, and that node is to send no more for now (L12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The send fails with [`SendError::Full`](crate::error::SendError::Full).
    #[default]
    Reject,
    /// The message becomes a dead letter; the send succeeds.
    DropNew,
    /// The message that has waited longest becomes a dead letter and makes room; the send succeeds.
    DropOld,
    /// `send_async` and `send_blocking` wait for room, first come, first served. A plain `send`, which
    /// never waits, fails with [`SendError::Full`](crate::error::SendError::Full).
    Block,
    /// The message goes to this actor instead, whose own mailbox decides if that is full too; there it
    /// is not redirected again. If this actor has ended the message becomes a dead letter. Where it takes
    /// messages of authenticated nodes only and the full one of any, nothing is redirected, and the send fails
    /// as with [`Reject`](Self::Reject).
    Redirect(Pid),
}

impl Mailbox {
    /// At most `capacity` messages; one more is rejected unless [`overflow`](Self::overflow) says
    /// otherwise. Zero counts as one.
    pub const fn bounded(capacity: usize) -> Self {
        Self::Bounded { capacity, overflow: Overflow::Reject }
    }

    /// The same bound with another answer to a message too many. Nothing where there is no bound.
    #[must_use]
    pub const fn overflow(self, overflow: Overflow) -> Self {
        match self {
            Self::Unbounded => self,
            Self::Bounded { capacity, .. } => Self::Bounded { capacity, overflow },
        }
    }

    /// The bound, if there is one.
    pub const fn capacity(&self) -> Option<usize> {
        match *self {
            Self::Unbounded => None,
            Self::Bounded { capacity: 0, .. } => Some(1),
            Self::Bounded { capacity, .. } => Some(capacity),
        }
    }
}
