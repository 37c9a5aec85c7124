//! Supervisors and their children as values: what is to run, and what happens when it ends.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Starter;
use crate::pid::Pid;

/// How long a child may take to stop before it is killed, unless its spec says otherwise.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// Which of its siblings the failure of a child takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// None.
    OneForOne,
    /// All: they are stopped, last first, then all are started, first first.
    OneForAll,
    /// Those that were started after it.
    RestForOne,
    /// None. Children come and go at run time and stop at the same time.
    Dynamic,
}

/// Whether a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// Unless it ended in good order, with `normal` or `shutdown`.
    Transient,
    /// Never; not with its siblings either. It leaves the list of children when it ends.
    Temporary,
}

/// How a child is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Killed at once; it gets no last call.
    Brutal,
    /// Asked to stop behind the messages it has, and killed when this time is over.
    After(Duration),
    /// Asked to stop, and waited for. The right one for supervisors, whose children have limits of
    /// their own.
    Infinity,
}

/// Whether a supervisor ends by itself when significant children have ended in good order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoShutdown {
    /// No.
    #[default]
    Never,
    /// When one of them has.
    AnySignificant,
    /// When all of them have.
    AllSignificant,
}

/// What of a spec makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} of the supervisor's spec: {reason}")]
pub struct SpecError {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// What a supervisor runs. A value: it may be kept, cloned and started any number of times.
#[derive(Clone, Debug)]
pub struct SupervisorSpec {
    pub(crate) scope: Scope,
    pub(crate) children: Vec<ChildSpec>,
    pub(crate) max_restarts: usize,
    pub(crate) within: Duration,
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) max_children: usize,
}

/// One child of a supervisor.
#[derive(Clone)]
pub struct ChildSpec {
    pub(crate) id: String,
    pub(crate) start: Start,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) significant: bool,
}

/// Starts an actor and returns its PID.
pub(crate) type StartFn = Arc<dyn Fn(&Starter) -> Result<Pid, String> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Start {
    Worker(StartFn),
    Supervisor(Box<SupervisorSpec>),
}

impl SupervisorSpec {
    /// A supervisor without children, which restarts by `scope`: one restart in five seconds, and the
    /// next one ends it.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            children: Vec::new(),
            max_restarts: 1,
            within: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
            max_children: usize::MAX,
        }
    }

    /// Restarts the child that failed.
    pub fn one_for_one() -> Self {
        Self::new(Scope::OneForOne)
    }

    /// Restarts all when one fails.
    pub fn one_for_all() -> Self {
        Self::new(Scope::OneForAll)
    }

    /// Restarts the child that failed and those after it.
    pub fn rest_for_one() -> Self {
        Self::new(Scope::RestForOne)
    }

    /// For children that come and go; it starts with none.
    pub fn dynamic() -> Self {
        Self::new(Scope::Dynamic)
    }

    /// Adds a child behind the others.
    #[must_use]
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Allows so many restarts in a stretch of `within`; the next one in it ends the supervisor with
    /// `shutdown`, after all its children. Zero restarts allows none.
    #[must_use]
    pub fn max_restarts(mut self, restarts: usize, within: Duration) -> Self {
        (self.max_restarts, self.within) = (restarts, within);
        self
    }

    /// Lets it end by itself.
    #[must_use]
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// At most so many children at the same time.
    #[must_use]
    pub fn max_children(mut self, max_children: usize) -> Self {
        self.max_children = max_children;
        self
    }

    /// Looks for what makes no sense, in nested supervisors too.
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        let wrong = |field, reason: String| Err(SpecError { field, reason });
        if self.max_restarts > 0 && self.within.is_zero() {
            return wrong("within", "restarts are counted in a time longer than zero".to_owned());
        }
        if self.children.len() > self.max_children {
            return wrong("max_children", format!("{} children are more than that", self.children.len()));
        }
        if self.scope == Scope::Dynamic && !self.children.is_empty() {
            return wrong("children", "a dynamic supervisor starts with none: add them later".to_owned());
        }
        let mut ids = HashSet::new();
        for child in &self.children {
            if !ids.insert(&child.id) {
                return wrong("children", format!("two of them have the id {:?}", child.id));
            }
            self.check_child(child)?;
        }
        Ok(())
    }

    /// Looks for what makes no sense in a child of this supervisor.
    pub(crate) fn check_child(&self, child: &ChildSpec) -> Result<(), SpecError> {
        let wrong = |reason: &str| {
            let reason = format!("child {:?} {reason}", child.id);
            Err(SpecError { field: "significant", reason })
        };
        if child.significant && child.restart == Restart::Permanent {
            return wrong("is permanent, so its end cannot mean that the work is done");
        }
        if child.significant && self.auto_shutdown == AutoShutdown::Never {
            return wrong("is significant to a supervisor whose auto_shutdown is never");
        }
        match &child.start {
            Start::Supervisor(spec) => spec.check(),
            Start::Worker(_) => Ok(()),
        }
    }
}

impl ChildSpec {
    /// A permanent child that has five seconds to stop.
    ///
    /// `start` starts an actor and returns its PID; best by the [`Starter`] it is given, whose actors are
    /// linked to the supervisor from their first instruction. It runs on a thread of its own, again
    /// at each restart, and may wait; the supervisor goes on meanwhile. An error, a panic or a PID that is
    /// not alive is a failed start.
    pub fn new(
        id: impl Into<String>,
        start: impl Fn(&Starter) -> Result<Pid, String> + Send + Sync + 'static,
    ) -> Self {
        Self::of(id.into(), Start::Worker(Arc::new(start)), Shutdown::After(SHUTDOWN))
    }

    /// A supervisor as a child, which is waited for when it stops. It has started once its children have.
    pub fn supervisor(id: impl Into<String>, spec: SupervisorSpec) -> Self {
        Self::of(id.into(), Start::Supervisor(Box::new(spec)), Shutdown::Infinity)
    }

    fn of(id: String, start: Start, shutdown: Shutdown) -> Self {
        Self { id, start, restart: Restart::Permanent, shutdown, significant: false }
    }

    /// Whether it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is stopped.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Whether its end in good order may end the supervisor; see [`AutoShutdown`].
    #[must_use]
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// The name by which its supervisor knows it.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = f.debug_struct("ChildSpec");
        text.field("id", &self.id).field("restart", &self.restart).field("shutdown", &self.shutdown);
        if let Start::Supervisor(spec) = &self.start {
            text.field("supervisor", spec);
        }
        text.finish_non_exhaustive()
    }
}
