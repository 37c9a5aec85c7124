//! Methods of `Runtime` about PIDs that stand for actors of other nodes.

use std::str::FromStr;

use myrmidon::Pid;
use myrmidon::actor::Reference;
use myrmidon::error::{SendError, SendManyError};
use myrmidon::mailbox::Payload;
use myrmidon::node::{RemoteError, Target};
use myrmidon::transport::NodeAddr;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyInt};

use crate::actors::living;
use crate::asyncio::{Request, coroutine};
use crate::errors::{AddressError, Busy, NoProcess, NodeDown, PayloadTooLarge};
use crate::mesh::{address, unresolved};
use crate::number::Id;
use crate::payload;
use crate::runtime::Runtime;
use crate::wait::block_on;

#[pymethods]
impl Runtime {
    /// A PID of this runtime for an actor of another node, by the address of that and the actor's name, or
    /// its PID there; or by a reference alone, as `ref` gives it on any node. Waits for the node.
    ///
    /// The PID works with every call that takes one: `send`, `ask`, `monitor`, `link`, `stop`, timers,
    /// `register`. `hot_swap` is refused: code is swapped where the actor lives. One actor has
    /// one such PID; at the actor's own node it is the actor's own. It ends with its actor, or when the node
    /// leaves or is started anew. When the connection is lost its monitors and links fire once with
    /// "noconnection", and it works again when the node is back.
    ///
    /// With `follow` the PID stands for whoever has the name, one after the other, until `unfollow`: when the
    /// actor ends, its node is started anew or the connection is lost, the name is resolved again, and what is
    /// sent meanwhile waits, as much as in the queue to a node. If nobody is found for `request_timeout` seconds
    /// that becomes dead letters, and the PID answers as one of the dead (`send` returns `False`, `NoProcess`) or
    /// raises `NodeDown`, until a pause is over and the next use looks again. Monitors and links are with
    /// the actor of the moment: they fire once, and are to be made anew for the next.
    ///
    /// At a peer that speaks only the documented framing, messages and monitors of the node work.
    ///
    /// Raises `TypeError` if something else than a name is to be followed, `NoProcess` if nobody has the name or the node was started anew since the reference was made,
    /// `NodeDown` if the node cannot be reached, `Timeout` if it does not answer, `Busy` if too many such
    /// PIDs are known, and `AddressError`.
    #[pyo3(signature = (addr, target=None, *, follow=false))]
    fn remote(
        &self,
        py: Python<'_>,
        addr: &str,
        target: Option<Bound<'_, PyAny>>,
        follow: bool,
    ) -> PyResult<u64> {
        let (core, whom) = (self.core()?, Whom::read(addr, target, follow)?);
        let rt = core.clone();
        let found = block_on(py, core.io(), async move { whom.find(&rt).await })?;
        found.map(Pid::as_u64).map_err(|error| not_found(&error))
    }

    /// As `remote`, without blocking the event loop. Cancelling the task gives the request up.
    #[pyo3(signature = (addr, target=None, *, follow=false))]
    fn remote_py<'py>(
        this: &Bound<'py, Self>,
        addr: String,
        target: Option<Py<PyAny>>,
        follow: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "remote_py", move |runtime, py| {
            let target = target.map(|target| target.into_bound(py));
            let (core, whom) = (runtime.core_for_loop()?, Whom::read(&addr, target, follow)?);
            let rt = core.clone();
            Request::start(py, core.io(), move |open| async move {
                let found = whom.find(&rt).await;
                open.settle(move |py| match found {
                    Ok(pid) => Ok(pid.as_u64().into_pyobject(py)?.into_any().unbind()),
                    Err(error) => Err(not_found(&error)),
                });
            })
        })
    }

    /// Ends a PID that follows a name; the actor behind it lives on. What still waits is lost. `False` if it
    /// is none.
    fn unfollow(&self, pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        Ok(pid.pid().is_some_and(|pid| core.unfollow(pid)))
    }

    /// Words for an actor that `remote` of any node understands: the address at which its node can be
    /// dialled, the node and its life, and the PID there. An actor can put them into a message. For a PID that
    /// stands for an actor of another node they name that actor.
    ///
    /// The address is `advertised`, or the one on which this node listens, if that is one; without one the
    /// words are understood only by nodes that have a connection to this one.
    ///
    /// Raises `NoProcess` for 0.
    #[pyo3(name = "ref")]
    fn reference(&self, pid: Id) -> PyResult<String> {
        Ok(self.core()?.reference(living(pid)?).to_string())
    }

    /// Whether a PID stands for an actor of another node.
    fn is_remote(&self, pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        Ok(pid.pid().is_some_and(|pid| core.is_remote(pid)))
    }
}

impl Runtime {
    /// What becomes of a message that was not sent: `false` if there is nobody, an exception if an actor of
    /// another node was not reached. Where the queue to that node is full it waits for room. `data` is what
    /// was sent.
    pub(crate) fn unsent(
        &self,
        py: Python<'_>,
        error: SendError<Payload>,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let core = self.core()?;
        let unsent = match error {
            SendError::Full { pid, message } if core.is_remote(pid) => {
                let rt = core.clone();
                match block_on(py, core.io(), async move { rt.send_async(pid, message).await })? {
                    Ok(()) => return Ok(true),
                    Err(SendError::Full { .. }) => Err(no_room(pid)),
                    Err(error) => lost(&error),
                }
            }
            error => lost(&error),
        };
        payload::give_back(data);
        unsent
    }

    /// Sends messages to an actor in their order, each as `send` does. How many were sent, and why no more.
    pub(crate) fn send_each(
        &self,
        py: Python<'_>,
        pid: Pid,
        mut messages: Vec<Payload>,
    ) -> (usize, PyResult<bool>) {
        let mut count = 0;
        let core = match self.core() {
            Ok(core) => core,
            Err(error) => return (count, Err(error)),
        };
        loop {
            let SendManyError { delivered, error, rest, .. } = match core.send_many(pid, messages) {
                Ok(sent) => return (count + sent, Ok(true)),
                Err(error) => error,
            };
            count += delivered;
            let SendError::Full { message, .. } = error else { return (count, lost(&error)) };
            if !core.is_remote(pid) {
                return (count, Ok(false));
            }
            let rt = core.clone();
            match block_on(py, core.io(), async move { rt.send_async(pid, message).await }) {
                Ok(Ok(())) => count += 1,
                Ok(Err(SendError::Full { .. })) => return (count, Err(no_room(pid))),
                Ok(Err(error)) => return (count, lost(&error)),
                Err(raised) => return (count, Err(raised)),
            }
            messages = rest;
        }
    }
}

/// There was no room on the way to the node of an actor.
pub(crate) fn no_room(pid: Pid) -> PyErr {
    Busy::new_err(format!(
        "the queue to the node of actor {pid} is full, or holds enough for it: it reads too slowly; slow down, or try \
         again later"
    ))
}

/// What becomes of a message that is not sent: an exception if an actor of another node was not reached.
pub(crate) fn lost(error: &SendError<Payload>) -> PyResult<bool> {
    match error {
        SendError::NoConnection { .. } => Err(NodeDown::new_err(error.to_string())),
        SendError::TooLarge { .. } => Err(PayloadTooLarge::new_err(error.to_string())),
        _ => Ok(false),
    }
}

/// Who is looked for.
enum Whom {
    At(NodeAddr, Target),
    /// Whoever has the name, one after the other.
    Follow(NodeAddr, String),
    By(Reference),
}

impl Whom {
    fn read(addr: &str, target: Option<Bound<'_, PyAny>>, follow: bool) -> PyResult<Self> {
        if follow {
            let name = target.and_then(|target| target.extract::<String>().ok());
            let name = name.ok_or_else(|| PyTypeError::new_err("only a name (str) can be followed"))?;
            return Ok(Self::Follow(address(addr)?, name));
        }
        let Some(target) = target else {
            let reference = Reference::from_str(addr);
            return reference.map(Self::By).map_err(|error| AddressError::new_err(error.to_string()));
        };
        let target = if let Ok(name) = target.extract::<String>() {
            Target::Name(name)
        } else if target.is_instance_of::<PyInt>() && !target.is_instance_of::<PyBool>() {
            Target::Pid(living(target.extract()?)?)
        } else {
            let kind = target.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "an actor of another node has a name (str) or a PID (int), not {kind}"
            )));
        };
        Ok(Self::At(address(addr)?, target))
    }

    async fn find(&self, rt: &myrmidon::Runtime) -> Result<Pid, RemoteError> {
        match self {
            Self::At(addr, target) => rt.remote(addr, target.clone()).await,
            Self::Follow(addr, name) => rt.follow(addr, name.clone()).await,
            Self::By(reference) => rt.remote_by_reference(reference).await,
        }
    }
}

fn not_found(error: &RemoteError) -> PyErr {
    let text = error.to_string();
    match error {
        RemoteError::Resolve(error) => unresolved(error),
        RemoteError::NoName { .. } | RemoteError::Restarted { .. } => NoProcess::new_err(text),
        RemoteError::TooMany(_) => Busy::new_err(text),
        _ => NodeDown::new_err(text),
    }
}
