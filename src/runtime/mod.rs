//! The runtime: one handle that joins the parts.
//!
//! | file | holds |
//! |---|---|
//! | `builder` | how a runtime is made |
//! | `engine` | who runs the actors: the scheduler's threads, or a simulation |
//! | `actors` | the calls about single actors |
//! | `send_async` | sends that wait for room |
//! | `hooks` | who is told of an actor's end, in which order |
//! | `supervisor` | carries out what `supervision` decides about factories |
//! | `supervise` | supervisors as actors |
//! | `local` | what the mesh needs of this runtime |
//! | `nodes` | actors that follow other nodes |
//! | `remote` | monitors of remote actors and who owns them |
//! | `event` | what is reported to the host program |
//! | `introspection` | what can be asked about actors and messages that nobody handled |
//! | `top` | the busiest actors |
//! | `shutdown` | the order of going down |

mod actors;
mod blocking;
mod builder;
mod engine;
mod event;
mod hooks;
mod introspection;
mod io;
mod local;
mod nodes;
mod remote;
mod send_async;
mod shutdown;
mod supervise;
mod supervisor;
mod top;

use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use actors::JoinError;
pub use builder::{RuntimeBuilder, StartError};
pub use event::{Event, EventLimit, EventSink, one_line};
pub use introspection::InspectError;
pub use supervise::SupervisorRef;
pub use supervisor::{SuperviseError, Supervisor};
pub use top::Load;

use crate::actor::{Observers, Reference, System, current};
use crate::buffer::BufferTable;
use crate::clock::Clock;
use crate::config::RuntimeConfig;
use crate::node::{Node, RemoteError, Target};
use crate::pid::Pid;
use crate::registry::Registry;
use crate::scheduler::Lane;
use crate::timer::Timers;
use crate::transport::NodeAddr;
use engine::Engine;
use io::Io;
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
    io: Mutex<Option<Io>>,
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
    /// `supervise_with_factory`, unless it has fired before that, more than half a second ago. When the node is lost the owner receives
    /// [`SystemMessage::Exit`](crate::actor::SystemMessage::Exit) with reason `NoConnection`, and if
    /// it is supervised it is stopped and its factory runs again. A monitor without an owner is
    /// reported as [`Event::RemoteDown`].
    pub fn monitor_remote(&self, addr: &NodeAddr, pid: Pid) {
        self.watch_from(current(), addr, pid);
    }

    /// As [`monitor_remote`](Self::monitor_remote), on behalf of `owner`, whose code runs elsewhere than in its
    /// handler.
    pub fn monitor_remote_for(&self, owner: Pid, addr: &NodeAddr, pid: Pid) {
        self.watch_from(Some(owner), addr, pid);
    }

    fn watch_from(&self, owner: Option<Pid>, addr: &NodeAddr, pid: Pid) {
        let node = &self.inner.node;
        self.inner.claims.make(owner, |fire| {
            let monitor = node.monitor(addr, pid, Box::new(move |down| fire(Lost::from(down))));
            // Whoever keeps the monitor keeps no node.
            let node = node.downgrade();
            Box::new(move || {
                if let Some(node) = node.upgrade() {
                    node.demonitor(monitor);
                }
            })
        });
    }

    /// A PID of this runtime for an actor of another node, by its name or its PID there. It works with every
    /// call that takes a PID: what cannot be done from afar is refused by that call, which says so. Connects with the
    /// node, and waits for that at most as long as `connect_timeout` says, and for the name at most
    /// `request_timeout`.
    ///
    /// One actor has one such PID, however it was found. Where `addr` is this very node's, it is the actor's own.
    /// It ends with its actor, with that life of the node, and when the node leaves. When the connection is lost
    /// all its monitors and links fire once with `noconnection`; it lives on, and messages get through again when the
    /// node has come back in the same life. With too many of them
    /// ([`max_proxies`](crate::config::NodeConfig::max_proxies)) those of lost nodes end.
    ///
    /// At a node that speaks the documented framing only, messages and monitors of the node work, asks and
    /// links do not, and a lost connection ends the PID.
    ///
    /// # Errors
    /// If the node cannot be reached or does not know the name, or if there are too many such PIDs.
    pub async fn remote(&self, addr: &NodeAddr, target: impl Into<Target>) -> Result<Pid, RemoteError> {
        self.inner.node.remote(addr, target.into()).await
    }

    /// As [`remote`](Self::remote), for a reference, which may come from any node.
    ///
    /// # Errors
    /// As `remote`, and if the node was started anew since, or has neither an address nor a connection.
    pub async fn remote_by_reference(&self, reference: &Reference) -> Result<Pid, RemoteError> {
        self.inner.node.remote_by_reference(reference).await
    }

    /// As [`remote`](Self::remote) for a name, but the PID follows the name: it stands for whoever has it over
    /// there, one after the other, for as long as this runtime lives or until [`unfollow`](Self::unfollow). An
    /// address and a name have one such PID.
    ///
    /// When the actor ends, its node leaves or is started anew, or the connection is lost, the name is resolved
    /// again, as soon as the node can be reached. What is sent to the PID meanwhile waits in its order, as much
    /// as in the queue to a node, asks, links and monitors with it. When nobody was found for
    /// [`request_timeout`](crate::config::NodeConfig::request_timeout), messages that waited are
    /// dead letters, asks and monitors are told, and the PID answers with errors (`NoProcess` if the node does
    /// not know the name, else `NoConnection`) until a pause is over; the next use looks again.
    ///
    /// A monitor is of the actor that has the name when it is made: it fires once, when that ends or the connection is
    /// lost, and is to be made anew for the next. So is a link. `stop` ends the actor, not the PID. At this
    /// node's own address there are no links. At a peer of level 1 the end of an actor is not seen, only the loss
    /// of its node.
    ///
    /// # Errors
    /// As `remote`: the first time somebody must have the name.
    pub async fn follow(&self, addr: &NodeAddr, name: impl Into<String>) -> Result<Pid, RemoteError> {
        self.inner.node.follow(addr, name.into()).await
    }

    /// Ends a PID of [`follow`](Self::follow); the actor behind it lives on, and so do monitors and links with it.
    /// What still waits is lost. `false` if it is none.
    pub fn unfollow(&self, pid: Pid) -> bool {
        self.inner.node.unfollow(pid)
    }

    /// Words for the actor `pid` that [`remote_by_reference`](Self::remote_by_reference) of any node
    /// understands. For a PID that stands for an actor of another node they name that actor.
    pub fn reference(&self, pid: Pid) -> Reference {
        match self.inner.system.remote(pid) {
            Some(remote) => remote.reference(),
            None => self.inner.node.reference(pid),
        }
    }

    /// Whether `pid` stands for an actor of another node.
    pub fn is_remote(&self, pid: Pid) -> bool {
        self.inner.system.is_remote(pid)
    }

    /// Whether what `pid` answers comes from this process, or from a node whose certificate was checked: so
    /// that a binding may read it with less care.
    pub fn is_trusted(&self, pid: Pid) -> bool {
        self.inner.system.trusts(pid)
    }

    /// Whether what `pid` is sent comes from this process, or from a node whose certificate was checked: it was
    /// started with [`authenticated_only`](crate::actor::SpawnOptions::authenticated_only), or the transport has
    /// every node prove who it is.
    pub fn is_guarded(&self, pid: Pid) -> bool {
        !self.inner.system.admits_peers(pid)
    }

    /// The tokio runtime of the mesh. With one I/O thread, as by default, it is a current-thread one, so its tasks may not
    /// call `tokio::task::block_in_place`.
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
    /// its thread. In a [simulation](crate::sim) the drain counts by its time, and called from another
    /// thread than the one that runs its actors, which may not run them any more, by the machine's.
    ///
    /// Must not be called from inside an actor.
    pub fn shutdown(&self, drain: Duration) -> usize {
        self.shutdown_with(drain, || 0)
    }

    /// As [`shutdown`](Self::shutdown), where actors give their messages to code outside of their turns: `held` says how many it has
    /// got and not handled, which count as queued.
    pub fn shutdown_with(&self, drain: Duration, held: impl Fn() -> usize) -> usize {
        self.inner.shutdown(drain, &held)
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runtime({} workers)", self.inner.config.workers)
    }
}
