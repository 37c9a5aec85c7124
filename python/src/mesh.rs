//! Methods of `Runtime` about other nodes.

use myrmidon::Pid;
use myrmidon::node::{ListenError as CoreListenError, RemoteSendError, ResolveError};
use myrmidon::transport::{AddrParseError, NodeAddr, TransportError};
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::actors::living;
use crate::asyncio::{Request, coroutine};
use crate::current::current_actor;
use crate::errors::{
    AddressError, Busy, ListenError, NodeDown, PayloadTooLarge, RegisterError, RuntimeClosed, Timeout,
};
use crate::number::Id;
use crate::payload;
use crate::runtime::Runtime;
use crate::wait::block_on;

#[pymethods]
impl Runtime {
    /// Listens on `addr`, "host:port"; port 0 lets the system choose. Returns the bound address.
    ///
    /// Raises `ListenError` if the address cannot be bound or leads beyond loopback without being
    /// allowed to, and `AddressError`.
    fn listen(&self, py: Python<'_>, addr: &str) -> PyResult<String> {
        let core = self.core()?;
        let (node, addr) = (core.node().clone(), address(addr)?);
        if self.shared().simulated {
            return Err(ListenError::new_err(
                "a simulation has no network: test what other nodes see with a Runtime",
            ));
        }
        let bound = block_on(py, core.io(), async move { node.listen(&addr).await })?;
        bound.map(|bound| bound.to_string()).map_err(|error| unbound(&error))
    }

    /// As `listen`, without blocking the event loop. If the task is cancelled before the address is bound, nothing is.
    fn listen_py<'py>(this: &Bound<'py, Self>, addr: String) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "listen_py", move |runtime, py| {
            let core = runtime.core_for_loop()?;
            let (node, addr) = (core.node().clone(), address(&addr)?);
            Request::start(py, core.io(), move |open| async move {
                let bound = node.listen(&addr).await;
                open.settle(move |py| match bound {
                    Ok(bound) => Ok(bound.to_string().into_pyobject(py)?.into_any().unbind()),
                    Err(error) => Err(unbound(&error)),
                });
            })
        })
    }

    /// Asks the node at `addr` who has `name`, and waits for the answer. Returns the PID on that
    /// node, for `send_remote`; `None` if nobody has the name there.
    ///
    /// Raises `NodeDown` if the node cannot be reached, `Timeout` if it does not answer within
    /// `request_timeout`, `Busy` if too many resolves wait there, and `AddressError`.
    fn resolve_remote(&self, py: Python<'_>, addr: &str, name: String) -> PyResult<Option<u64>> {
        let core = self.core()?;
        let (node, addr) = (core.node().clone(), address(addr)?);
        let found = block_on(py, core.io(), async move { node.resolve(&addr, &name).await })?;
        found.map(|pid| pid.map(Pid::as_u64)).map_err(|error| unresolved(&error))
    }

    /// As `resolve_remote`, without blocking the event loop: in any loop of any thread. Cancelling the task gives the
    /// request up.
    fn resolve_remote_py<'py>(
        this: &Bound<'py, Self>,
        addr: String,
        name: String,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "resolve_remote_py", move |runtime, py| {
            let core = runtime.core_for_loop()?;
            let (node, addr) = (core.node().clone(), address(&addr)?);
            Request::start(py, core.io(), move |open| async move {
                let found = node.resolve(&addr, &name).await;
                open.settle(move |py| match found {
                    Ok(pid) => Ok(pid.map(Pid::as_u64).into_pyobject(py)?.unbind()),
                    Err(error) => Err(unresolved(&error)),
                });
            })
        })
    }

    /// Queues `data` for the actor `pid` of the node at `addr`. Messages to one actor leave in the
    /// order of the calls; what the connection loses is not sent again.
    ///
    /// Returns at once unless the queue to that node is full; then it waits for room, at most
    /// `send_timeout` seconds.
    ///
    /// A `Buffer` that could not be sent stays as it is.
    ///
    /// Raises `Busy` if there is still no room, `NodeDown` if the node could not be reached a moment
    /// ago, `PayloadTooLarge` (`ValueError`) above 64 MiB, or above 1 MiB for a peer that speaks only
    /// the documented framing, and `AddressError`.
    fn send_remote(&self, py: Python<'_>, addr: &str, pid: Id, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let core = self.core()?;
        let (addr, pid, message) = (address(addr)?, living(pid)?, payload::remote(data)?);
        let refused = match core.node().try_send(&addr, pid, message) {
            // A large message is taken once the peer is known to speak more than the documented framing.
            Err(RemoteSendError::Busy { message, .. } | RemoteSendError::TooLarge { message, .. }) => {
                let node = core.node().clone();
                block_on(py, core.io(), async move { node.send(&addr, pid, message).await })?
            }
            sent => sent,
        };
        refused.map_err(|error| {
            payload::give_back(data);
            unsent(&error)
        })
    }

    /// As `send_remote`, without blocking the event loop where it waits for room. If the task is cancelled while it does,
    /// nothing is sent. A `Buffer` counts as sent then.
    fn send_remote_py<'py>(
        this: &Bound<'py, Self>,
        addr: String,
        pid: Id,
        data: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "send_remote_py", move |runtime, py| {
            let (core, pid) = (runtime.core_for_loop()?, living(pid)?);
            let (node, addr) = (core.node().clone(), address(&addr)?);
            // Now, so that it takes its place before what is sent later.
            let sent = node.try_send(&addr, pid, payload::remote(data.bind(py))?);
            Request::start(py, core.io(), move |open| async move {
                let sent = match sent {
                    Err(
                        RemoteSendError::Busy { message, .. } | RemoteSendError::TooLarge { message, .. },
                    ) => node.send(&addr, pid, message).await,
                    sent => sent,
                };
                open.settle(move |py| match sent {
                    Ok(()) => Ok(py.None()),
                    Err(error) => {
                        payload::give_back(data.bind(py));
                        Err(unsent(&error))
                    }
                });
            })
        })
    }

    /// Watches the actor `pid` of the node at `addr`; returns at once.
    ///
    /// In the code of an actor, a coroutine or a pull function too, the monitor belongs to that actor, inside a factory to the actor that the
    /// factory returns, elsewhere to the actor that this thread hands to `supervise_with_factory`
    /// next. When the actor ends, its owner gets an EXIT message with the reason ("noproc" if it had
    /// ended before, "noconnection" when its node is lost), or, if the owner is supervised, is ended so
    /// that its factory runs again. At a peer that speaks only the documented framing the end of one
    /// actor while its node lives is not noticed.
    ///
    /// Raises `AddressError`.
    fn monitor_remote(&self, py: Python<'_>, addr: &str, pid: Id) -> PyResult<()> {
        let core = self.core()?;
        let (addr, pid) = (address(addr)?, living(pid)?);
        match current_actor(py)? {
            Some(owner) => core.monitor_remote_for(owner, &addr, pid),
            None => core.monitor_remote(&addr, pid),
        }
        Ok(())
    }

    /// Whether the node at `addr` answers a ping within `request_timeout` seconds.
    ///
    /// Raises `AddressError`.
    fn is_node_up(&self, py: Python<'_>, addr: &str) -> PyResult<bool> {
        let core = self.core()?;
        let (node, addr) = (core.node().clone(), address(addr)?);
        block_on(py, core.io(), async move { node.is_up(&addr).await })
    }

    /// As `is_node_up`, without blocking the event loop. Cancelling the task gives the ping up.
    fn is_node_up_py<'py>(this: &Bound<'py, Self>, addr: String) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "is_node_up_py", move |runtime, py| {
            let core = runtime.core_for_loop()?;
            let (node, addr) = (core.node().clone(), address(&addr)?);
            Request::start(py, core.io(), move |open| async move {
                let up = node.is_up(&addr).await;
                open.settle(move |py| Ok(PyBool::new(py, up).to_owned().into_any().unbind()));
            })
        })
    }
}

/// Reads an address.
///
/// # Errors
/// `AddressError`, which says what to write.
pub(crate) fn address(text: &str) -> PyResult<NodeAddr> {
    text.parse().map_err(|error: AddrParseError| AddressError::new_err(error.to_string()))
}

/// An address that others are told to dial.
pub(crate) fn dialable(text: &str) -> PyResult<NodeAddr> {
    let addr = address(text)?;
    if addr.is_wildcard() || addr.port() == 0 {
        let text = format!("advertised is an address that other nodes can dial: {addr} is none");
        return Err(AddressError::new_err(text));
    }
    Ok(addr)
}

fn unbound(error: &CoreListenError) -> PyErr {
    match error {
        CoreListenError::Closed => RuntimeClosed::new_err(error.to_string()),
        CoreListenError::Transport(TransportError::Bind { .. }) => {
            ListenError::new_err(format!("{error}; choose another address, or port 0 for a free port"))
        }
        _ => ListenError::new_err(error.to_string()),
    }
}

pub(crate) fn unresolved(error: &ResolveError) -> PyErr {
    let text = error.to_string();
    match error {
        ResolveError::Timeout { .. } => Timeout::new_err(text),
        ResolveError::Busy { .. } => Busy::new_err(text),
        ResolveError::BadName { .. } => RegisterError::new_err(text),
        ResolveError::Closed => RuntimeClosed::new_err(text),
        _ => NodeDown::new_err(text),
    }
}

fn unsent(error: &RemoteSendError) -> PyErr {
    let text = error.to_string();
    match error {
        RemoteSendError::Busy { .. } => Busy::new_err(text),
        RemoteSendError::TooLarge { .. } => PayloadTooLarge::new_err(text),
        RemoteSendError::Closed { .. } => RuntimeClosed::new_err(text),
        _ => NodeDown::new_err(text),
    }
}
