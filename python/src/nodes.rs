//! Other nodes as Python sees them: a list, and what actors are told when it changes.

use myrmidon::actor::NodeEvent as Event;
use myrmidon::config::Level;
use myrmidon::node::NodeInfo as Info;
use pyo3::prelude::*;

use crate::errors::refuse_remote;
use crate::number::Id;
use crate::runtime::Runtime;

/// A change of how things stand with another node.
///
/// `state` is "up", "stalled", "recovered", "left", "crashed" or "unreachable"; `detail` says more where
/// there is more to say. `addr` is the address as dialled, or, of a node that dialled this one, where it came
/// from. `name` and `cluster` are those of its certificate. `node_id` (32 hexadecimal digits) and `incarnation`
/// (one for each of its lives) are `None` for a peer that speaks only the documented framing.
#[pyclass(frozen, eq, hash, get_all, module = "myrmidon")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct NodeEvent {
    state: &'static str,
    detail: Option<String>,
    addr: String,
    name: Option<String>,
    cluster: Option<String>,
    node_id: Option<String>,
    incarnation: Option<u64>,
}

/// What is known of another node: as in `NodeEvent`, and `level`, the protocol spoken with it (1 is the
/// documented framing), and `round_trip`, the seconds that the last ping took, while it is up.
#[pyclass(frozen, get_all, module = "myrmidon")]
pub(crate) struct NodeInfo {
    state: &'static str,
    detail: Option<String>,
    addr: String,
    name: Option<String>,
    cluster: Option<String>,
    node_id: Option<String>,
    incarnation: Option<u64>,
    level: u8,
    round_trip: Option<f64>,
}

#[pymethods]
impl NodeEvent {
    fn __repr__(&self) -> String {
        describe("NodeEvent", self.state, &self.addr, self.detail.as_deref())
    }
}

#[pymethods]
impl NodeInfo {
    fn __repr__(&self) -> String {
        describe("NodeInfo", self.state, &self.addr, self.detail.as_deref())
    }
}

#[pymethods]
impl Runtime {
    /// Every other node that is up, whoever dialled, and the last ones that are gone, in the order of
    /// addresses.
    fn nodes(&self) -> PyResult<Vec<NodeInfo>> {
        Ok(self.core()?.node().nodes().into_iter().map(NodeInfo::from).collect())
    }

    /// Has the actor `pid` told from now on when another node comes, goes, stalls or recovers: by a
    /// `PySystemMessage` of the type NODE_UP, NODE_DOWN, NODE_STALLED or NODE_RECOVERED, whose `node` is a
    /// `NodeEvent`, in its place among the messages. What is up already is not told: see `nodes`. Asking
    /// twice changes nothing. Returns False if the actor has ended.
    ///
    /// A peer that speaks only the documented framing is told of once this node has dialled it.
    ///
    /// Raises `Unsupported` for an actor of another node.
    fn monitor_nodes(&self, pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        if let Some(pid) = pid.pid() {
            refuse_remote(core, pid, "let it monitor the nodes over there")?;
        }
        Ok(pid.pid().is_some_and(|pid| core.monitor_nodes(pid)))
    }

    /// Ends what `monitor_nodes` began. Returns False if it was not begun.
    fn demonitor_nodes(&self, pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        Ok(pid.pid().is_some_and(|pid| core.demonitor_nodes(pid)))
    }
}

impl NodeEvent {
    pub(crate) fn addr(&self) -> &str {
        &self.addr
    }
}

impl From<&Event> for NodeEvent {
    fn from(event: &Event) -> Self {
        Self {
            state: event.state.name(),
            detail: event.state.detail().map(str::to_owned),
            addr: event.addr.to_string(),
            name: event.identity.as_ref().map(|identity| identity.node.clone()),
            cluster: event.identity.as_ref().map(|identity| identity.cluster.clone()),
            node_id: event.node.map(|node| node.to_string()),
            incarnation: event.incarnation,
        }
    }
}

impl From<Info> for NodeInfo {
    fn from(info: Info) -> Self {
        let (name, cluster) = info.identity.map(|identity| (identity.node, identity.cluster)).unzip();
        Self {
            state: info.state.name(),
            detail: info.state.detail().map(str::to_owned),
            addr: info.addr.to_string(),
            name,
            cluster,
            node_id: info.node.map(|node| node.to_string()),
            incarnation: info.incarnation,
            level: match info.level {
                Level::One => 1,
                Level::Two => 2,
            },
            round_trip: info.round_trip.map(|round_trip| round_trip.as_secs_f64()),
        }
    }
}

fn describe(class: &str, state: &str, addr: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) => format!("{class}({state:?}, {addr:?}, {detail:?})"),
        None => format!("{class}({state:?}, {addr:?})"),
    }
}
