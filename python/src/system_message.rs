//! System messages as Python sees them.

use myrmidon::Pid;
use myrmidon::actor::{NodeEvent as Event, NodeState, SystemMessage};
use pyo3::prelude::*;

use crate::exit_reason::{message, traceback};
use crate::nodes::NodeEvent;

/// What the runtime tells an actor besides messages.
///
/// `type_name` says which: "EXIT" (`target_pid` ended, for `reason`), "HOT_SWAP" (the code of
/// `target_pid` is now `version`), "PING" and "PONG" (`from_pid` asked, or answered); and for those who
/// called `monitor_nodes`, "NODE_UP", "NODE_DOWN", "NODE_STALLED" and "NODE_RECOVERED", about `node`.
#[pyclass(frozen, module = "myrmidon")]
pub(crate) struct PySystemMessage {
    #[pyo3(get)]
    type_name: &'static str,
    /// Whom it is about.
    #[pyo3(get)]
    target_pid: Option<u64>,
    /// Whom it comes from.
    #[pyo3(get)]
    from_pid: Option<u64>,
    /// EXIT: the short name of the reason, such as "normal", "exception" or "noconnection". NODE_DOWN:
    /// "left", "crashed" or "unreachable".
    #[pyo3(get)]
    reason: Option<&'static str>,
    /// What there is to say beyond that: the text of the exception, why a swap failed, why a node stalls.
    #[pyo3(get)]
    metadata: Option<String>,
    /// EXIT by an exception: its formatted traceback.
    #[pyo3(get)]
    traceback: Option<String>,
    /// HOT_SWAP: the version that runs now.
    #[pyo3(get)]
    version: Option<u64>,
    /// NODE_…: the node, and how things stand with it.
    #[pyo3(get)]
    node: Option<Py<NodeEvent>>,
}

#[pymethods]
impl PySystemMessage {
    fn __repr__(&self) -> String {
        let mut text = format!("PySystemMessage({:?}", self.type_name);
        let numbers =
            [("target_pid", self.target_pid), ("from_pid", self.from_pid), ("version", self.version)];
        for (name, number) in numbers {
            if let Some(number) = number {
                text.push_str(&format!(", {name}={number}"));
            }
        }
        for (name, value) in [("reason", self.reason), ("metadata", self.metadata.as_deref())] {
            if let Some(value) = value {
                text.push_str(&format!(", {name}={value:?}"));
            }
        }
        if let Some(node) = &self.node {
            text.push_str(&format!(", addr={:?}", node.get().addr()));
        }
        text + ")"
    }
}

impl PySystemMessage {
    /// The message as `receiver` sees it.
    ///
    /// # Errors
    /// If Python has no memory.
    pub(crate) fn new(py: Python<'_>, receiver: Pid, system: SystemMessage) -> PyResult<Self> {
        Ok(match system {
            SystemMessage::Exit { target, reason, .. } => Self {
                target_pid: Some(target.as_u64()),
                from_pid: Some(target.as_u64()),
                reason: Some(reason.name()),
                metadata: message(&reason),
                traceback: traceback(&reason),
                ..Self::of("EXIT")
            },
            SystemMessage::HotSwap { target, version, error } => Self {
                target_pid: Some(target.as_u64()),
                metadata: error,
                version: Some(version),
                ..Self::of("HOT_SWAP")
            },
            SystemMessage::Node(event) => Self::of_node(py, &event)?,
            SystemMessage::Ping { from } => Self::between("PING", from, receiver),
            SystemMessage::Pong { from } => Self::between("PONG", from, receiver),
            _ => Self::of("OTHER"),
        })
    }

    fn of_node(py: Python<'_>, event: &Event) -> PyResult<Self> {
        let type_name = match event.state {
            NodeState::Up => "NODE_UP",
            NodeState::Stalled(_) => "NODE_STALLED",
            NodeState::Recovered => "NODE_RECOVERED",
            _ => "NODE_DOWN",
        };
        Ok(Self {
            reason: (!event.state.is_up()).then_some(event.state.name()),
            metadata: event.state.detail().map(str::to_owned),
            node: Some(Py::new(py, NodeEvent::from(event))?),
            ..Self::of(type_name)
        })
    }

    fn between(type_name: &'static str, from: Pid, target: Pid) -> Self {
        Self { from_pid: Some(from.as_u64()), target_pid: Some(target.as_u64()), ..Self::of(type_name) }
    }

    fn of(type_name: &'static str) -> Self {
        Self {
            type_name,
            target_pid: None,
            from_pid: None,
            reason: None,
            metadata: None,
            traceback: None,
            version: None,
            node: None,
        }
    }
}
