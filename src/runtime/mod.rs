//! The runtime: one handle that joins the parts.
//!
//! | file | holds |
//! |---|---|
//! | `builder` | how a runtime is made |
//! | `engine` | who runs the actors: the scheduler's threads, or a simulation |
//! | `actors` | the calls about single actors |
//! | `hooks` | who is told of an actor's end, in which order |
//! | `supervisor` | carries out what `supervision` decides about factories |
//! | `supervise` | supervisors as actors |
//! | `local` | what the mesh needs of this runtime |
//! | `nodes` | actors that follow other nodes |
//! | `remote` | monitors of remote actors and who owns them |
//! | `event` | what is reported to the host program |
//! | `introspection` | what can be asked about actors and messages that nobody handled |
//! | `shutdown` | the order of going down |

mod actors;
mod builder;
mod engine;
mod event;
mod hooks;
mod introspection;
mod local;
mod nodes;
mod remote;
mod shutdown;
mod supervise;
mod supervisor;

use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use actors::JoinError;
pub use builder::{RuntimeBuilder, StartError};
pub use event::{Event, EventSink};
pub use introspection::InspectError;
pub use supervise::SupervisorRef;
pub use supervisor::{SuperviseError, Supervisor};

use crate::actor::{Observers, System};
use crate::buffer::BufferTable;
use crate::clock::Clock;
use crate::config::RuntimeConfig;
use crate::node::Node;
use crate::pid::Pid;
use crate::registry::Registry;
use crate::scheduler::Lane;
use crate::timer::Timers;
use crate::transport::NodeAddr;
use engine::Engine;
use nodes::NodeMonitors;
use remote::{Claims, Lost};

/// A running actor system. Cheap to clone; when the last clone goes, it is shut down without
/// waiting.
#[derive(Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

struct Inner {
    config: RuntimeConfig,
    system: Arc<System>,
    scheduler: Engine,
    registry: Arc<Registry>,
    supervisor: Arc<Supervisor>,
    timers: Timers,
    observers: Observers,
    buffers: BufferTable<Vec<u8>>,
    node: Node,
    claims: Claims,
    node_monitors: NodeMonitors,
    /// Taken when the runtime goes down.
    io: Mutex<Option<tokio::runtime::Runtime>>,
    io_handle: tokio::runtime::Handle,
}

impl Runtime {
    /// A runtime with default settings and no transport.
    ///
    /// # Errors
    /// If the system refuses threads or random numbers.
    pub fn new() -> Result<Self, StartError> {
        Self::builder().start()
    }

    /// Settings for a new runtime.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &RuntimeConfig {
        &self.inner.config
    }

    /// Names of local actors.
    pub fn names(&self) -> &Registry {
        &self.inner.registry
    }

    /// Messages sent later.
    pub fn timers(&self) -> &Timers {
        &self.inner.timers
    }

    /// Restarts through factories.
    pub fn supervisor(&self) -> &Arc<Supervisor> {
        &self.inner.supervisor
    }

    /// The mesh: listening, resolving and sending by address.
    pub fn node(&self) -> &Node {
        &self.inner.node
    }

    /// Watches the node of a remote actor; returns at once.
    ///
    /// Called inside a handler, the monitor belongs to that actor; inside a factory, to the actor
    /// that the factory returns; elsewhere to the actor with which this thread next calls
    /// `supervise_with_factory`. When the node is lost the owner receives
    /// [`SystemMessage::Exit`](crate::actor::SystemMessage::Exit) with reason `NoConnection`, and if
    /// it is supervised it is stopped and its factory runs again. A monitor without an owner is
    /// reported as [`Event::RemoteDown`].
    pub fn monitor_remote(&self, addr: &NodeAddr, pid: Pid) {
        let node = &self.inner.node;
        self.inner.claims.make(|fire| {
            let monitor = node.monitor(addr, pid, Box::new(move |down| fire(Lost::from(down))));
            let node = node.clone();
            Box::new(move || {
                node.demonitor(monitor);
            })
        });
    }

    /// The tokio runtime of the mesh.
    pub fn io(&self) -> &tokio::runtime::Handle {
        &self.inner.io_handle
    }

    /// The time by which timers, deadlines and pauses of this runtime are decided.
    pub fn clock(&self) -> &Clock {
        self.inner.system.clock()
    }

    /// A lane whose actors run only on the thread that calls [`Lane::run`].
    pub fn open_lane(&self, name: &str) -> Arc<Lane> {
        self.inner.scheduler.open_lane(name, &self.inner.system)
    }

    /// Goes down in good order: supervision and timers end, mailboxes and outbound lanes drain for
    /// at most `drain`, then every actor is killed and the threads end. Returns how many messages
    /// were left. Later calls do nothing and return 0. A parked handler is waited for only while
    /// messages wait behind it. A handler that does not return within two more seconds is left behind with
    /// its thread.
    ///
    /// Must not be called from inside an actor.
    pub fn shutdown(&self, drain: Duration) -> usize {
        self.inner.shutdown(drain)
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runtime({} workers)", self.inner.config.workers)
    }
}
