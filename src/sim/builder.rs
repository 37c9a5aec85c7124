//! The settings of a simulation.

use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::{Random, Sim, Stepper, Strategy};
use crate::runtime::{Runtime, RuntimeBuilder, StartError};

/// Collects the settings of a [`Sim`].
#[derive(Clone)]
pub struct SimBuilder {
    pub(super) seed: u64,
    pub(super) strategy: Strategy,
    pub(super) budget: RangeInclusive<u32>,
    pub(super) step_limit: usize,
    pub(super) mesh: Option<tokio::runtime::Handle>,
    configure: Arc<dyn Fn(RuntimeBuilder) -> RuntimeBuilder>,
}

impl Default for SimBuilder {
    fn default() -> Self {
        Self {
            seed: 0,
            strategy: Strategy::default(),
            budget: 1..=8,
            step_limit: 1_000_000,
            mesh: None,
            configure: Arc::new(|builder| builder),
        }
    }
}

impl SimBuilder {
    /// Decides everything that is left to chance: the order of turns, budgets, PIDs, jitter. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How the next to run is chosen. Default: [`Strategy::Random`].
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// From what range the most messages of a turn are drawn, each time anew; an actor's own budget
    /// still holds where it is less. Default: 1 to 8.
    #[must_use]
    pub fn budget(mut self, budget: RangeInclusive<u32>) -> Self {
        self.budget = budget;
        self
    }

    /// After so many steps a simulation that has not come to rest fails instead of running for ever.
    /// It is also the bound of its trace. Default: one million.
    #[must_use]
    pub fn step_limit(mut self, steps: usize) -> Self {
        self.step_limit = steps;
        self
    }

    /// Lets the mesh take part. `io` is a current-thread runtime of tokio with a paused clock, inside which the
    /// simulation is made: its time is the simulation's, and the actors run whenever it does, among
    /// its own tasks, so that nobody has to call [`Sim::run`]. Several simulations on one such runtime are
    /// nodes of one world, which one seed decides if their transports and
    /// [`NodeConfig::seed`](crate::config::NodeConfig::seed) obey it.
    ///
    /// Going down waits for nobody then, and sends no goodbye: await
    /// [`Node::shutdown`](crate::node::Node::shutdown) before. Calls that block the thread do not run the mesh.
    #[must_use]
    pub fn mesh_on(mut self, io: tokio::runtime::Handle) -> Self {
        self.mesh = Some(io);
        self
    }

    /// Settings of the runtime itself, such as [`RuntimeBuilder::on_event`]; those about threads are not
    /// used.
    #[must_use]
    pub fn configure(mut self, configure: impl Fn(RuntimeBuilder) -> RuntimeBuilder + 'static) -> Self {
        self.configure = Arc::new(configure);
        self
    }

    /// Makes the simulation. This thread is the one that runs it.
    ///
    /// # Errors
    /// If the system refuses the thread of the mesh.
    pub fn start(&self) -> Result<Sim, StartError> {
        let stepper = Stepper::new(self);
        let runtime = (self.configure)(Runtime::builder()).simulate(stepper.clone())?;
        stepper.join_mesh();
        let random = Random::stream(self.seed, 2);
        Ok(Sim { runtime, stepper, random, seed: self.seed, here: PhantomData })
    }
}

impl std::fmt::Debug for SimBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { seed, strategy, budget, step_limit, mesh, configure: _ } = self;
        f.debug_struct("SimBuilder")
            .field("seed", seed)
            .field("strategy", strategy)
            .field("budget", budget)
            .field("step_limit", step_limit)
            .field("mesh", mesh)
            .finish()
    }
}
