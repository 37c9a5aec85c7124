//! The class `Runtime`: how it starts and ends. Its methods are in the files of their themes.

mod arguments;
mod ending;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use myrmidon::config::{Level, NodeConfig, RuntimeConfig};
use myrmidon::transport::Transport;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::codes::Codes;
use crate::errors::{RuntimeClosed, StartError};
use crate::fork::Birth;
use crate::lane::{Crew, STACK};
use crate::lanes::{Lanes, around_blocking_threads, usual_count};
use crate::loop_lanes::LoopLanes;
use crate::mesh::dialable;
use crate::number;
use crate::own_loop::OwnLoop;
use crate::pull::Threads;
use crate::simulation::Simulation;
use crate::transport::{Kind, Setup};
use crate::waiters::Waiters;
use crate::{errors, finish, logging};
use arguments::{control, distance, lanes_of_a_link, protocol, set, set_count, set_positive, threads};
use ending::Ending;

/// How long threads that run Python may take to leave once there is nothing to do for them.
const LEAVE: Duration = Duration::from_millis(500);
/// As much for the loop, which has to cancel what runs in it.
const LOOP_LEAVES: Duration = Duration::from_secs(2);

/// An actor runtime: its actors, its names and its place in the mesh. See `myrmidon.Runtime`.
#[pyclass(frozen, subclass, weakref, module = "myrmidon._core")]
pub(crate) struct Runtime(Arc<Shared>);

/// What the class, the handlers and the end of the interpreter share.
pub(crate) struct Shared {
    core: myrmidon::Runtime,
    /// Runs the handlers.
    pub(crate) actors: Lanes,
    /// Runs async code that was started where no event loop runs.
    pub(crate) own_loop: OwnLoop,
    /// Where what runs in loops is seen.
    pub(crate) loop_lanes: LoopLanes,
    /// The threads of pull actors.
    pub(crate) pull: Arc<Threads>,
    /// Does what must not wait behind a handler: crash reports, answers for event loops.
    pub(crate) chores: Arc<Crew>,
    /// Runs listeners, which may block, so that what must not wait does not wait behind them. Started for the first.
    listeners: OnceLock<Arc<Crew>>,
    /// Code that runs elsewhere than in the turns of its actors.
    pub(crate) codes: Codes,
    /// Who waits for answers.
    pub(crate) waiters: Waiters,
    transport: &'static str,
    /// Where its events are logged.
    pub(crate) desk: logging::Desk,
    /// Whether its actors are run by a simulation.
    pub(crate) simulated: bool,
    birth: Birth,
    ending: Ending,
    closed: AtomicBool,
}

#[pymethods]
impl Runtime {
    /// Starts a runtime.
    ///
    /// `transport` is "tcp", the default, "tls", which is TCP with TLS 1.3, or "quic"; `certs` is a directory made
    /// by `myrmidon certs`, without which TLS and QUIC work on loopback only; `allow_insecure_remote` lets
    /// plain TCP leave loopback; `workers` is the number of threads for Rust actors.
    ///
    /// `python_threads` is the number of threads that run handlers: one, or, where the interpreter
    /// has no global lock, one for each core. Each actor stays on one of them. `blocking_threads`
    /// bounds those for handlers that block (`spawn(blocking=True)`): 64 unless told otherwise.
    ///
    /// `profile` says how far away other nodes are: "wan" has slower clocks (heartbeat 3 s, down after
    /// 15 s) and larger windows; "lan", and "loopback" for one machine, have those of a local network
    /// (heartbeat 1 s, down after 5 s). Left out, the clocks are those of "lan", and the windows follow the
    /// address of each peer. `congestion` decides how much may be under way over QUIC: "cubic", the default,
    /// "newreno", or "bbr", which is faster where the path loses packets by chance, and experimental. `level` is the highest protocol spoken: 2, the default, or 1, the documented
    /// framing alone. `advertised` is the address, "host:port", that other nodes are told to dial, and that
    /// stands in references: left out, the one on which this node listens. `remote_exits=False` lets no other node
    /// stop or kill actors here, or send them exit signals; links work in any case.
    ///
    /// `message_lanes` is how many lanes a link has for messages, from 0 to 16, 4 unless told otherwise: on TCP a connection
    /// each, and the lower number of both sides holds. What waits for one peer is at most `outbound_messages`, 65 536, and
    /// `outbound_bytes`, 16 MiB. At most `max_connections`, 1 024, are open in each direction, and at most `max_peers`
    /// addresses, 10 000, remembered.
    ///
    /// The rest are the clocks of the mesh in seconds, where they are to differ.
    ///
    /// Raises `StartError`, `AddressError`, and `ValueError` for a number that makes no sense.
    #[new]
    #[pyo3(signature = (transport=None, *, certs=None, allow_insecure_remote=false, workers=None,
        python_threads=None, blocking_threads=None, profile=None, congestion=None, level=None, advertised=None,
        remote_exits=true, message_lanes=None, outbound_messages=None, outbound_bytes=None, max_connections=None,
        max_peers=None, heartbeat=None, down_after=None, connect_timeout=None, request_timeout=None, send_timeout=None, _simulation=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        transport: Option<&str>,
        certs: Option<PathBuf>,
        allow_insecure_remote: bool,
        #[pyo3(from_py_with = number::or_none::workers)] workers: Option<usize>,
        #[pyo3(from_py_with = number::or_none::python_threads)] python_threads: Option<usize>,
        #[pyo3(from_py_with = number::or_none::blocking_threads)] blocking_threads: Option<usize>,
        profile: Option<&str>,
        congestion: Option<&str>,
        #[pyo3(from_py_with = number::or_none::level)] level: Option<u8>,
        advertised: Option<String>,
        remote_exits: bool,
        #[pyo3(from_py_with = number::or_none::message_lanes)] message_lanes: Option<u8>,
        #[pyo3(from_py_with = number::or_none::outbound_messages)] outbound_messages: Option<usize>,
        #[pyo3(from_py_with = number::or_none::outbound_bytes)] outbound_bytes: Option<usize>,
        #[pyo3(from_py_with = number::or_none::max_connections)] max_connections: Option<usize>,
        #[pyo3(from_py_with = number::or_none::max_peers)] max_peers: Option<usize>,
        heartbeat: Option<f64>,
        down_after: Option<f64>,
        connect_timeout: Option<f64>,
        request_timeout: Option<f64>,
        send_timeout: Option<f64>,
        _simulation: Option<PyRef<'_, Simulation>>,
    ) -> PyResult<Self> {
        if let Some(simulation) = _simulation {
            return Ok(Self(simulation.shared().clone()));
        }
        let mut config = RuntimeConfig::default();
        if let Some(workers) = workers {
            config.workers = threads("workers", workers)?;
        }
        if let Some(most) = blocking_threads {
            config.blocking_threads = threads("blocking_threads", most)?;
        }
        config.blocking_stack = STACK;
        // The workers run no code of users, so they have nothing to report that lanes have not.
        config.stall_after = config.lane_stall_after;
        let lanes = match python_threads {
            Some(count) => threads("python_threads", count)?,
            None => usual_count(py)?,
        };
        let profile = profile.map(distance).transpose()?;
        let congestion = congestion.map(control).transpose()?;
        config.node = NodeConfig::of(profile.unwrap_or_default());
        let node = &mut config.node;
        node.level = level.map_or(Ok(Level::Two), protocol)?;
        node.advertised = advertised.map(|text| dialable(&text).map(|addr| addr.to_string())).transpose()?;
        node.remote_exits = remote_exits;
        node.message_lanes = message_lanes.map_or(Ok(node.message_lanes), lanes_of_a_link)?;
        set_count("outbound_messages", outbound_messages, &mut node.outbound_messages)?;
        set_count("outbound_bytes", outbound_bytes, &mut node.outbound_bytes)?;
        set_count("max_connections", max_connections, &mut node.max_connections)?;
        set_count("max_peers", max_peers, &mut node.max_peers)?;
        set_positive("heartbeat", heartbeat, &mut node.heartbeat)?;
        set_positive("down_after", down_after, &mut node.down_after)?;
        set_positive("connect_timeout", connect_timeout, &mut node.connect_timeout)?;
        set_positive("request_timeout", request_timeout, &mut node.request_timeout)?;
        set("send_timeout", send_timeout, &mut node.send_timeout)?;
        if node.down_after <= node.heartbeat {
            return Err(PyValueError::new_err(format!(
                "down_after ({:?}) is longer than heartbeat ({:?}): a node that says nothing between two heartbeats \
                 is up",
                node.down_after, node.heartbeat
            )));
        }
        let kind = Kind::from_name(transport)?;
        let shared = py.detach(|| {
            let (certs, node) = (certs.as_deref(), &config.node);
            let setup = Setup { certs, allow_insecure_remote, profile, congestion, node };
            let transport = kind.build(&setup)?;
            Shared::start(kind, transport, config, lanes)
        })?;
        finish::remember(&shared);
        Ok(Self(shared))
    }

    /// "tcp", "tls" or "quic".
    #[getter]
    fn transport(&self) -> &'static str {
        self.0.transport
    }

    /// Whether it has been shut down.
    #[getter]
    fn closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Runs handlers on the calling thread until `shutdown` or Ctrl-C.
    ///
    /// With the main thread as the lane there is no hand-over between threads, and libraries that
    /// insist on the main thread work in handlers. Of several `python_threads` it stands for the
    /// first; the others run beside it.
    ///
    /// Raises `KeyboardInterrupt`, also when Ctrl-C met a handler.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        self.core()?;
        self.0.actors.first().drive_here(py)
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { "closed" } else { "running" };
        format!("<myrmidon.Runtime transport={:?} {state}>", self.0.transport)
    }
}

/// The version of Myrmidon.
#[pyfunction]
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

impl Runtime {
    /// The runtime below, for a call.
    ///
    /// # Errors
    /// If it was shut down, or made before a fork.
    pub(crate) fn core(&self) -> PyResult<&myrmidon::Runtime> {
        self.0.birth.check()?;
        if self.closed() {
            return Err(RuntimeClosed::new_err("this Runtime was shut down: make a new one"));
        }
        Ok(&self.0.core)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl Drop for Runtime {
    /// A runtime with actors or a listener goes on until the interpreter ends; one that does nothing
    /// for anybody ends with its object. In the child of a fork nothing may be touched.
    fn drop(&mut self) {
        let shared = self.0.clone();
        if !shared.birth.is_here() {
            std::mem::forget(shared);
        } else if !self.closed() && shared.is_unused() {
            // Without a thread for it, it ends with the interpreter.
            let _ = thread::Builder::new().spawn(move || shared.finish(Duration::ZERO));
        }
    }
}

impl Shared {
    fn start(
        kind: Kind,
        transport: Arc<dyn Transport>,
        config: RuntimeConfig,
        lanes: usize,
    ) -> PyResult<Arc<Self>> {
        let desk = logging::Desk::new();
        let core = myrmidon::Runtime::builder()
            .config(config)
            .transport(transport)
            .on_event(logging::reporter(desk.clone()))
            .around_blocking_threads(around_blocking_threads())
            .start()
            .map_err(|error| StartError::new_err(error.to_string()))?;
        Self::around(core, &desk, lanes, kind.name(), false)
    }

    /// Around a runtime whose actors are run by a simulation.
    pub(crate) fn simulated(core: myrmidon::Runtime, desk: &logging::Desk) -> PyResult<Arc<Self>> {
        Self::around(core, desk, 1, "none", true)
    }

    fn around(
        core: myrmidon::Runtime,
        desk: &logging::Desk,
        lanes: usize,
        transport: &'static str,
        simulated: bool,
    ) -> PyResult<Arc<Self>> {
        let actors = Lanes::start(&core, lanes)?;
        let chores = Crew::start(core.open_lane("chores"))?;
        desk.open(&chores);
        Ok(Arc::new(Self {
            core,
            actors,
            own_loop: OwnLoop::default(),
            loop_lanes: LoopLanes::default(),
            pull: Arc::default(),
            chores,
            listeners: OnceLock::new(),
            codes: Codes::default(),
            waiters: Waiters::default(),
            transport,
            desk: desk.clone(),
            simulated,
            birth: Birth::now(),
            ending: Ending::default(),
            closed: AtomicBool::new(false),
        }))
    }

    /// Goes down: drains for at most `limit`, then ends actors and threads. Returns the number of
    /// messages left.
    pub(crate) fn finish(&self, limit: Duration) -> usize {
        if !self.birth.is_here() {
            finish::forget(self);
            return 0;
        }
        if !self.ending.begin() {
            // Somebody else sees to it, and what waits is told there.
            self.ending.wait(limit);
            return 0;
        }
        let left = self.core.shutdown_with(limit, || self.codes.unhandled());
        self.closed.store(true, Ordering::Release);
        self.waiters.close();
        self.own_loop.stop(LOOP_LEAVES);
        self.pull.wait(LEAVE);
        self.actors.close(LEAVE);
        self.chores.close(LEAVE);
        if let Some(listeners) = self.listeners.get() {
            listeners.close(LEAVE);
        }
        // Until here the end of the interpreter waits for it.
        finish::forget(self);
        self.ending.end();
        left
    }

    /// The threads for listeners.
    ///
    /// # Errors
    /// If the system has no room for a thread.
    pub(crate) fn listeners(&self) -> PyResult<&Arc<Crew>> {
        if let Some(listeners) = self.listeners.get() {
            return Ok(listeners);
        }
        let started = Crew::start(self.core.open_lane("listeners"))?;
        if let Err(second) = self.listeners.set(started) {
            // Another thread was first.
            second.close(Duration::ZERO);
        }
        self.listeners.get().ok_or_else(errors::closed_meanwhile)
    }

    /// The runtime below, for what may come after its end.
    pub(crate) fn core(&self) -> &myrmidon::Runtime {
        &self.core
    }

    fn is_unused(&self) -> bool {
        self.core.actors().is_empty() && self.core.node().listening_on().is_empty()
    }
}
