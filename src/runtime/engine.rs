//! Who runs the actors of a runtime: the scheduler's threads, or a simulation on the thread of a test.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::Inner;
use crate::actor::{Schedule, System};
use crate::config::RuntimeConfig;
use crate::scheduler::{AroundThread, Inline, Job, Lane, Scheduler, SpawnBlockingError, Task};
use crate::sim::{Agenda, Stepper};

#[derive(Clone)]
pub(super) enum Engine {
    Threads(Arc<Scheduler>),
    Simulation(Arc<Stepper>),
}

impl Engine {
    /// The scheduler and its threads.
    ///
    /// # Errors
    /// If the system has no room for the threads.
    pub(super) fn threads(
        system: &Arc<System>,
        config: &RuntimeConfig,
        around_blocking: AroundThread,
        io: (&tokio::runtime::Handle, Arc<Inline>),
    ) -> std::io::Result<Self> {
        Scheduler::start(system, config, around_blocking, io).map(Self::Threads)
    }

    /// What the system is connected with: itself, so that a send asks nobody who runs its receiver.
    pub(super) fn schedule(&self) -> Box<dyn Schedule> {
        match self {
            Self::Threads(scheduler) => Box::new(scheduler.clone()),
            Self::Simulation(stepper) => Box::new(stepper.clone()),
        }
    }

    pub(super) fn submit(&self, job: Job) {
        match self {
            Self::Threads(scheduler) => scheduler.submit(job),
            Self::Simulation(stepper) => stepper.submit(job),
        }
    }

    /// Runs `closure` on the pool for blocking work; in a simulation as a step.
    pub(super) fn spawn_blocking<T, F>(&self, closure: F) -> Result<Task<T>, SpawnBlockingError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Threads(scheduler) => scheduler.spawn_blocking(closure),
            Self::Simulation(stepper) => {
                let (job, task) = Task::of(closure, stepper.system());
                stepper.submit(job);
                Ok(task)
            }
        }
    }

    /// As [`spawn_blocking`](Self::spawn_blocking), beside what waits there and what is counted.
    pub(super) fn spawn_beside<T, F>(&self, closure: F) -> Result<Task<T>, SpawnBlockingError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        match self {
            Self::Threads(scheduler) => scheduler.spawn_beside(closure),
            Self::Simulation(_) => self.spawn_blocking(closure),
        }
    }

    pub(super) fn open_lane(&self, name: &str, system: &Arc<System>) -> Arc<Lane> {
        match self {
            Self::Threads(scheduler) => scheduler.open_lane(name, system),
            Self::Simulation(stepper) => stepper.open_lane(name, system),
        }
    }

    /// For how long the slowest lane has owed a sign of life; each call asks for one. A simulation drives
    /// its lanes itself.
    pub(super) fn pulse_of_lanes(&self) -> Duration {
        match self {
            Self::Threads(scheduler) => scheduler.pulse_of_lanes(),
            Self::Simulation(_) => Duration::ZERO,
        }
    }

    /// Whether the time by the runtime's clock goes on while this thread waits.
    pub(super) fn keeps_time(&self) -> bool {
        match self {
            Self::Threads(_) => true,
            Self::Simulation(stepper) => stepper.is_here(),
        }
    }

    /// Whether the actors run on this very thread, while it waits.
    pub(super) fn is_driven_here(&self) -> bool {
        matches!(self, Self::Simulation(stepper) if stepper.is_here())
    }

    /// Waits until nothing is ready or running, at most until `deadline`; whether that was reached.
    pub(super) fn wait_quiet(&self, deadline: Instant) -> bool {
        match self {
            Self::Threads(scheduler) => scheduler.wait_quiet(deadline),
            Self::Simulation(stepper) => stepper.wait_quiet(deadline),
        }
    }

    /// Lets actors run for a moment.
    pub(super) fn pause(&self, moment: Duration) {
        match self {
            Self::Threads(_) => thread::sleep(moment),
            Self::Simulation(stepper) => stepper.pause(moment),
        }
    }

    /// A thread that was started and is still to be joined.
    pub(super) fn next_thread(&self) -> Option<thread::JoinHandle<()>> {
        match self {
            Self::Threads(scheduler) => scheduler.next_thread(),
            Self::Simulation(_) => None,
        }
    }

    /// Ends actors that wait behind handlers which do not return, on one more thread to be joined;
    /// `false` if there are none.
    pub(super) fn end_abandoned(&self, system: &Arc<System>) -> bool {
        match self {
            Self::Threads(scheduler) => scheduler.end_abandoned(system),
            Self::Simulation(_) => false,
        }
    }

    /// Has the thread of the sockets run no more slices: it may be the one that shuts down.
    pub(super) fn retire_inline(&self) {
        if let Self::Threads(scheduler) = self {
            scheduler.retire_inline();
        }
    }

    /// Whether the thread of the sockets, which is not this one, has a slice to end.
    pub(super) fn runs_inline(&self) -> bool {
        matches!(self, Self::Threads(scheduler) if scheduler.runs_inline())
    }

    /// From now on nothing that a test has set keeps actors from ending.
    pub(super) fn unbind(&self) {
        if let Self::Simulation(stepper) = self {
            stepper.unbind();
        }
    }

    /// Ends the threads; they finish the slice they are in.
    pub(super) fn stop(&self) {
        if let Self::Threads(scheduler) = self {
            scheduler.stop();
        }
    }
}

/// What a simulated runtime does at certain times.
impl Agenda for Weak<Inner> {
    fn next_due(&self) -> Option<Instant> {
        let inner = self.upgrade()?;
        inner.timers.next_due().into_iter().chain(inner.supervisor.next_due()).min()
    }

    fn fire_due(&self, now: Instant) {
        if let Some(inner) = self.upgrade() {
            inner.timers.fire_due(now);
            inner.supervisor.tick();
        }
    }
}
