//! Simulations: an ordinary runtime whose actors run on the thread of a test, in an order and with a
//! time that a seed decides. The same seed gives the same run, in every process.
//!
//! | file | holds |
//! |---|---|
//! | `builder` | the settings of a simulation |
//! | `check` | one test body under many seeds |
//! | `mesh` | steps in the time of a tokio runtime, for simulations whose mesh takes part |
//! | `stepper` | what stands in the place of the scheduler: ready actors, jobs, the clock |
//! | `strategy` | who runs next |
//! | `trace` | what was done, as values and as text |
//!
//! ```
//! use std::time::Duration;
//!
//! use myrmidon::sim;
//!
//! sim::check(0..100, |sim| {
//!     let rt = sim.runtime().clone();
//!     let (tell, told) = std::sync::mpsc::sync_channel(1);
//!     let sleeper = rt.spawn_fn(move |_, cx| drop(tell.send(cx.now())));
//!     let began = rt.clock().now();
//!     rt.timers().send_after(Duration::from_secs(3600), sleeper, "wake up");
//!     sim.run_for(Duration::from_secs(3600)); // takes no time
//!     assert_eq!(told.try_recv().unwrap() - began, Duration::from_secs(3600));
//! });
//! ```
//!
//! # What is simulated
//!
//! Everything local: messages, turns and their budgets, links, monitors, names, timers, hot swap,
//! supervision with its factories and pauses, futures of actors, lanes. Calls that wait
//! ([`Runtime::join`], `ask_blocking`, `send_blocking`) run the other actors meanwhile, also inside a handler.
//!
//! Priorities of actors decide nothing here: the strategy alone says who runs next, since no program may
//! rely on them for an order.
//!
//! Not simulated: tokio's timers and sockets, threads of the test's own, and the mesh, unless
//! [`SimBuilder::mesh_on`] lets it take part. They work, but
//! when they finish is for the machine to decide, and a step they cause comes where it happens to come.
//! A handler that reads [`Instant::now`] instead of [`Context::now`](crate::actor::Context::now), draws
//! random numbers of its own or goes through a `HashMap` leaves the simulation too.

mod builder;
mod check;
mod mesh;
mod stepper;
mod strategy;
mod trace;

use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub use crate::random::Random;
pub use builder::SimBuilder;
pub use check::check;
pub(crate) use stepper::{Agenda, Stepper};
pub use strategy::Strategy;
pub use trace::{ActorId, Step, Trace, TraceError};

use crate::error::StepLimit;
use crate::pid::Pid;
use crate::runtime::{Runtime, StartError};

/// A runtime whose actors run only in the calls of this handle, on this thread. See the [module](self).
///
/// Dropping it kills the actors that are left.
pub struct Sim {
    runtime: Runtime,
    stepper: Arc<Stepper>,
    random: Random,
    seed: u64,
    /// Its thread runs the actors, so it stays there.
    here: PhantomData<*const ()>,
}

/// An actor to be killed.
struct Fault {
    /// Before this step.
    step: usize,
    pid: Pid,
}

impl Sim {
    /// A simulation with default settings.
    ///
    /// # Errors
    /// If the system refuses the thread of the mesh.
    pub fn new(seed: u64) -> Result<Self, StartError> {
        Self::builder().seed(seed).start()
    }

    /// Settings for a new simulation.
    pub fn builder() -> SimBuilder {
        SimBuilder::default()
    }

    /// The runtime. What it is told to do happens in the next calls that run the simulation.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The seed it was made with.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Numbers that the seed decides, for the test itself. What is drawn here changes nothing else.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// One turn of one actor, or one job; `false` if there is none at this time.
    ///
    /// # Panics
    /// Where the simulation has taken all the steps that [`SimBuilder::step_limit`] allows; so do the
    /// other calls that run it, but those whose names begin with `try_`.
    pub fn step(&mut self) -> bool {
        within_limit(self.try_step())
    }

    /// As [`step`](Self::step).
    ///
    /// # Errors
    /// Instead of a panic. Nothing was done then.
    pub fn try_step(&mut self) -> Result<bool, StepLimit> {
        self.stepper.step()
    }

    /// Runs until nothing is ready. The time stands still.
    pub fn run(&mut self) {
        while self.step() {}
    }

    /// Runs until so much time has passed by the runtime's clock, which jumps from one thing that is
    /// due to the next.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, || false);
    }

    /// Runs until `done`, but no longer than `within` by the runtime's clock; whether it is done.
    pub fn run_until(&mut self, within: Duration, done: impl FnMut() -> bool) -> bool {
        within_limit(self.try_run_until(within, done))
    }

    /// As [`run_until`](Self::run_until).
    ///
    /// # Errors
    /// Instead of a panic, before the step that would be one too many.
    pub fn try_run_until(
        &mut self,
        within: Duration,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool, StepLimit> {
        self.stepper.drive_here(self.deadline(within), &mut done)
    }

    /// Runs until the future is done, but no longer than `within` by the runtime's clock; `None` if it
    /// is not.
    pub fn block_on<F: Future>(&mut self, within: Duration, future: F) -> Option<F::Output> {
        let (mut future, mut output) = (pin!(future), None);
        let mut cx = Context::from_waker(Waker::noop());
        self.run_until(within, || {
            if output.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(&mut cx)
            {
                output = Some(ready);
            }
            output.is_some()
        });
        output
    }

    /// The time that has passed by the runtime's clock.
    pub fn elapsed(&self) -> Duration {
        self.stepper.clock().passed()
    }

    /// What was done so far. With [`Strategy::Replay`] it can be done again.
    pub fn trace(&self) -> Trace {
        self.stepper.trace()
    }

    /// The name of an actor in the trace.
    pub fn id(&self, pid: Pid) -> ActorId {
        self.stepper.id(pid)
    }

    /// Kills the actor before this step, counted from zero, if the simulation gets so far.
    pub fn kill_at(&mut self, step: usize, pid: Pid) {
        self.stepper.add_fault(Fault { step, pid });
    }

    /// Calls `f` before each step, with its number: the place to break things. Replaces the function of
    /// an earlier call.
    pub fn between_steps(&mut self, f: impl FnMut(usize) + Send + 'static) {
        self.stepper.set_between(Box::new(f));
    }

    fn deadline(&self, within: Duration) -> Option<Instant> {
        self.stepper.clock().now().checked_add(within)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.runtime.shutdown(Duration::ZERO);
    }
}

/// What was done, in a test that ends where the simulation does not come to rest.
fn within_limit<T>(done: Result<T, StepLimit>) -> T {
    done.unwrap_or_else(|limit| panic!("{limit}"))
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).field("elapsed", &self.elapsed()).finish()
    }
}
