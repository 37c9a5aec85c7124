//! How a runtime is made.

use std::sync::{Arc, Mutex, Weak};

use super::event::{log_events, shield};
use super::hooks::Hooks;
use super::io::{Io, Own};
use super::local::{Local, NoTransport};
use super::nodes::NodeMonitors;
use super::remote::Claims;
use super::{Engine, EventSink, Inner, Runtime, Supervisor};
use crate::actor::{Observers, System};
use crate::buffer::BufferTable;
use crate::config::RuntimeConfig;
use crate::node::Node;
use crate::registry::Registry;
use crate::scheduler::AroundThread;
use crate::sim::Stepper;
use crate::timer::Timers;
use crate::transport::Transport;
use crate::wheel::Wheels;

/// Why a runtime could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system gave no random numbers, which PIDs need.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// A thread could not be started.
    #[error("cannot start the runtime's threads: {0}; is a limit on threads or memory reached?")]
    Threads(#[from] std::io::Error),
}

/// Collects the settings of a [`Runtime`].
#[derive(Default)]
pub struct RuntimeBuilder {
    config: RuntimeConfig,
    transport: Option<Arc<dyn Transport>>,
    events: Option<EventSink>,
    around_blocking: Option<AroundThread>,
}

impl RuntimeBuilder {
    /// Replaces the whole configuration.
    #[must_use]
    pub fn config(mut self, config: RuntimeConfig) -> Self {
        self.config = config;
        self
    }

    /// Worker threads; at least one.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// How this node talks to others. Without one the runtime is local only.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Receives what would otherwise go to the log.
    #[must_use]
    pub fn on_event(mut self, sink: EventSink) -> Self {
        self.events = Some(sink);
        self
    }

    /// Has each thread of the pool for blocking work do something around all its work: a language binding
    /// keeps its interpreter's state of the thread there.
    #[must_use]
    pub fn around_blocking_threads(mut self, around: AroundThread) -> Self {
        self.around_blocking = Some(around);
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// If the system refuses threads or random numbers.
    pub fn start(self) -> Result<Runtime, StartError> {
        self.start_on(None)
    }

    /// Starts a runtime whose actors are run by `stepper` instead of by threads.
    pub(crate) fn simulate(self, stepper: Arc<Stepper>) -> Result<Runtime, StartError> {
        let runtime = self.start_on(Some(&stepper))?;
        stepper.connect(
            &runtime.inner.system,
            Box::new(Arc::downgrade(&runtime.inner)),
            runtime.io().clone(),
        );
        Ok(runtime)
    }

    fn start_on(self, stepper: Option<&Arc<Stepper>>) -> Result<Runtime, StartError> {
        let Self { config, transport, events, around_blocking } = self;
        let events = shield(events.unwrap_or_else(log_events));
        let (io_handle, io) = match stepper.and_then(|stepper| stepper.mesh()) {
            Some(given) => (given.clone(), Io::Given),
            None => {
                let (handle, own) = Own::start(&config)?;
                (handle, Io::Own(own))
            }
        };
        let system = Arc::new(match stepper {
            None => System::new(config.budget).map_err(|error| StartError::Random(error.to_string()))?,
            Some(stepper) => stepper.new_system(config.budget),
        });
        // In a simulation all timers lie in one shard, so that equal times go off in the order of the calls.
        let shards = if stepper.is_none() { config.workers } else { 1 };
        let wheels = Wheels::new(shards, stepper.is_none(), system.clock().clone());
        let post: Weak<System> = Arc::downgrade(&system);
        wheels.connect(post);
        system.connect_wheels(wheels);
        let scheduler = match stepper {
            None => {
                let around = around_blocking.unwrap_or_else(|| Arc::new(|serve| serve()));
                Engine::threads(&system, &config, around, (&io_handle, io.inline()))?
            }
            Some(stepper) => Engine::Simulation(stepper.clone()),
        };
        let registry = Arc::new(Registry::new(system.clone()));
        let claims = Claims::new(&system, events.clone());
        let supervisor = Supervisor::new(system.clone(), events.clone(), claims.clone(), stepper.cloned());
        let hooks =
            Hooks { registry: Arc::downgrade(&registry), supervisor: Arc::downgrade(&supervisor), events };
        system.connect(scheduler.schedule(), Box::new(hooks));
        let timers = Timers::new(system.clone());
        let local = Local {
            system: system.clone(),
            registry: registry.clone(),
            scheduler: scheduler.clone(),
            stuck_after: config.lane_stall_after,
        };
        let transport = transport.unwrap_or_else(|| Arc::new(NoTransport));
        if transport.identity().is_some() {
            system.trust_peers();
        }
        let node = Node::new(transport, Arc::new(local), io_handle.clone(), config.node.clone());
        node.connect(&system);
        let inner = Inner {
            config,
            system,
            scheduler,
            registry,
            supervisor,
            timers,
            observers: Observers::default(),
            buffers: BufferTable::new(),
            node,
            claims,
            node_monitors: NodeMonitors::default(),
            io_handle,
            io: Mutex::new(Some(io)),
        };
        Ok(Runtime { inner: Arc::new(inner) })
    }
}
