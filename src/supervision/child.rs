//! A child of a supervisor: what it is and is meant to be, what is done about it, and what can go wrong.

use std::time::Instant;

use super::spec::{ChildSpec, Restart, Shutdown, SpecError, Start};
use crate::actor::ExitReason;
use crate::pid::Pid;

/// Names a child of one supervisor, also after it was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(super) u64);

/// What is to be done, in this order.
pub(crate) enum Step {
    /// Start a child, and say [`Tree::started`] or [`Tree::failed`].
    Start(Key, Start),
    /// Ask it to stop, with reason `shutdown`.
    Stop(Pid),
    Kill(Pid),
    /// Tell who asked for it that a child runs.
    Up(Key, Pid),
    /// Tell who asked for it that a child did not start.
    NotUp(Key, ChildError),
    /// Tell who asked for it that a child has stopped.
    Down(Key),
    /// Report that a child failed and is restarted.
    Restarting(Pid, ExitReason),
    /// Report that a child failed and is not restarted.
    Lost(Pid, ExitReason),
    /// Report that children failed too often; `child` was the last.
    GaveUp {
        child: String,
        reason: String,
    },
    /// All children run for the first time.
    Ready,
    /// All children are down: end with this reason, or with the error of a first start.
    End(Result<ExitReason, ChildError>),
}

/// Why a child could not be started, stopped or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// Its start function failed.
    #[error("child {id:?} did not start: {error}")]
    NotStarted {
        /// The child.
        id: String,
        /// What the start function said.
        error: String,
    },
    /// Another child has the id.
    #[error("there is a child {0:?} already: give another id, or restart or delete that one")]
    Exists(String),
    /// No child has the id.
    #[error("there is no child {0:?}: children() lists them")]
    Unknown(String),
    /// It must not run for this.
    #[error("child {0:?} runs: stop it first")]
    Running(String),
    /// Dynamic supervisors forget a child that is stopped.
    #[error("a dynamic supervisor keeps no stopped children: start {0:?} anew")]
    Dynamic(String),
    /// There are as many as may be.
    #[error("there are {0} children, as many as max_children allows: stop one first")]
    Full(usize),
    /// The child's spec makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The supervisor has ended or is about to.
    #[error("the supervisor has ended, or is ending")]
    Ending,
    /// The runtime goes down.
    #[error("the runtime is shutting down: nothing is started any more")]
    ShuttingDown,
    /// The supervisor has not done it in time; it goes on.
    #[error("the supervisor has not answered in time, and goes on: look at children()")]
    Timeout,
}

/// A child as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildInfo {
    /// Its name.
    pub id: String,
    /// Its PID, if it runs.
    pub pid: Option<Pid>,
    /// Whether it is started again.
    pub restart: Restart,
    /// Whether it is a supervisor.
    pub supervisor: bool,
}

pub(super) struct Child {
    pub(super) key: Key,
    pub(super) spec: ChildSpec,
    pub(super) state: State,
    /// Whether it should run.
    pub(super) wanted: bool,
    /// Whether it must be stopped, to be started again or not.
    pub(super) condemned: bool,
    pub(super) asked: Asked,
}

/// Whether somebody waits for a child's start, and what becomes of the child if that fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    No,
    /// It is forgotten.
    ToAdd,
    /// It stays down.
    ToRestart,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Down,
    Starting,
    Up(Pid),
    /// Asked to stop; killed at this moment.
    Stopping(Pid, Option<Instant>),
}

impl Child {
    pub(super) fn info(&self) -> ChildInfo {
        ChildInfo {
            id: self.spec.id.clone(),
            pid: match self.state {
                State::Up(pid) | State::Stopping(pid, _) => Some(pid),
                State::Down | State::Starting => None,
            },
            restart: self.spec.restart,
            supervisor: matches!(self.spec.start, Start::Supervisor(_)),
        }
    }

    pub(super) fn restarts_after(&self, reason: &ExitReason) -> bool {
        match self.spec.restart {
            Restart::Permanent => true,
            Restart::Transient => !reason.is_clean(),
            Restart::Temporary => false,
        }
    }

    /// It must stop. A temporary one is not started again even then (S12).
    pub(super) fn condemn(&mut self) {
        if self.state != State::Down {
            self.condemned = true;
            self.wanted &= self.spec.restart != Restart::Temporary;
        }
    }

    pub(super) fn start(&mut self) -> Step {
        self.state = State::Starting;
        Step::Start(self.key, self.spec.start.clone())
    }

    pub(super) fn stop(&mut self, pid: Pid, now: Instant) -> Step {
        let limit = match self.spec.shutdown {
            Shutdown::After(time) => now.checked_add(time),
            Shutdown::Brutal | Shutdown::Infinity => None,
        };
        self.state = State::Stopping(pid, limit);
        if self.spec.shutdown == Shutdown::Brutal { Step::Kill(pid) } else { Step::Stop(pid) }
    }

    pub(super) fn is_due(&self) -> bool {
        self.wanted && self.state == State::Down
    }
}
