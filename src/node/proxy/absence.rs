//! Who is looked for, and what is said to those who want something of him while he is not found.

use std::sync::Arc;

use bytes::Bytes;

use super::far::is_lost;
use crate::actor::{AskError, ExitReason, Signal, System};
use crate::error::SendError;
use crate::pid::Pid;
use crate::transport::NodeAddr;

/// Whoever has a name at an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sought {
    pub(super) addr: NodeAddr,
    pub(super) name: String,
}

/// Why nobody was found.
#[derive(Clone, Debug)]
pub(super) enum Absence {
    /// The node says that nobody has the name.
    Nobody,
    Unreachable(String),
    /// It is not followed any more, or this node is shut down.
    Closed,
}

impl Absence {
    pub(super) fn no_answer(&self, sought: &Sought, pid: Pid) -> AskError {
        match self {
            Self::Nobody => AskError::NoProcess(pid),
            _ => AskError::NoConnection { pid, reason: self.why(sought) },
        }
    }

    pub(super) fn unsent(&self, sought: &Sought, pid: Pid, message: Bytes) -> SendError<Bytes> {
        match self {
            Self::Nobody => SendError::NoProcess { pid, message },
            Self::Unreachable(_) => SendError::NoConnection { pid, reason: self.why(sought).into(), message },
            Self::Closed => is_lost(pid, message),
        }
    }

    /// Tells who waits for a signal's effect; others get it back.
    pub(super) fn unsignalled(
        &self,
        sought: &Sought,
        system: &Arc<System>,
        proxy: Pid,
        signal: Signal,
    ) -> Result<(), Signal> {
        let reason = match self {
            Self::Nobody => ExitReason::NoProcess,
            _ => ExitReason::NoConnection(self.why(sought)),
        };
        match signal {
            Signal::Watch(monitor, watcher) => system.tell_watcher(monitor, watcher, proxy, &reason),
            Signal::Linked(near) => drop(system.exit_from(near, Some(proxy), reason, true)),
            other => return Err(other),
        }
        Ok(())
    }

    fn why(&self, Sought { addr, name }: &Sought) -> String {
        match self {
            Self::Nobody => format!("nobody has the name {name:?} at {addr}"),
            Self::Unreachable(reason) => format!("{name:?} is looked for at {addr}: {reason}"),
            Self::Closed => format!("{name:?} at {addr} is not followed any more"),
        }
    }
}
