//! How an actor is started.

use super::{MonitorRef, Priority};
use crate::mailbox::Mailbox;
use crate::pid::Pid;

/// How an actor is started.
#[derive(Clone, Debug, Default)]
pub struct SpawnOptions {
    /// Messages per slice; `None` takes the runtime's default.
    pub budget: Option<u32>,
    /// The lane that runs it, from `Lane::id`; 0, the default, are the scheduler's workers, and
    /// [`BLOCKING`](Self::BLOCKING) the pool for blocking work.
    pub lane: u32,
    /// Whether its turns come before those of others, or after.
    pub priority: Priority,
    /// How many messages may wait for it, and what happens to one more.
    pub mailbox: Mailbox,
    /// Exits of linked actors arrive as messages.
    pub trap_exit: bool,
    /// What other nodes send it arrives only if the transport has them prove who they are; otherwise it is
    /// a dead letter.
    pub authenticated_only: bool,
    /// Linked to this actor before the first instruction runs (S35).
    pub linked: Option<Pid>,
    /// Monitored by this actor before the first instruction runs (S35).
    pub monitored: Option<(Pid, MonitorRef)>,
}
