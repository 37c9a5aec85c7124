//! Restarting actors: by supervisors, which are values (`spec`) and become actors, and through factories
//! (design.md §4, `supervise_with_factory` and `watch`).
//!
//! `tree` decides for one supervisor and `plan` for the factories: they take events and the time and give
//! actions, and know no thread and no clock. The runtime carries the actions out.

mod backoff;
mod child;
mod plan;
mod spec;
mod starter;
mod tree;
#[cfg(test)]
mod tree_tests;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::pid::Pid;
pub use child::{ChildError, ChildInfo};
pub(crate) use child::{Key, Step};
pub(crate) use plan::{Action, ChildId, Plan};
pub use spec::{AutoShutdown, ChildSpec, Restart, Scope, Shutdown, SpecError, SupervisorSpec};
pub(crate) use spec::{Start, StartFn};
pub use starter::Starter;
pub(crate) use tree::Tree;

/// Makes an actor again and returns its PID. Runs on a thread of its own, so it may wait; `None` or
/// an error counts as a failed start and is tried again later.
pub type Factory = Arc<dyn Fn() -> Result<Option<Pid>, String> + Send + Sync>;

/// What a child's end means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Only the child itself is restarted (one-for-one).
    RestartOne,
    /// All children with this strategy are stopped, last first, then started, first first
    /// (one-for-all).
    RestartAll,
}

/// A text that is no strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no restart strategy: write \"RestartOne\" or \"RestartAll\"")]
pub struct StrategyError(String);

impl FromStr for Strategy {
    type Err = StrategyError;

    /// Reads the documented names, in any case.
    fn from_str(text: &str) -> Result<Self, StrategyError> {
        match text.to_ascii_lowercase().as_str() {
            "restartone" => Ok(Self::RestartOne),
            "restartall" => Ok(Self::RestartAll),
            _ => Err(StrategyError(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
