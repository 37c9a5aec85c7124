//! Errors of the core become the exceptions of `myrmidon/errors.py`.

use pyo3::prelude::*;
use pyo3::{PyTypeInfo, import_exception};

use myrmidon::error::{RegisterError as CoreRegisterError, SwapError};
use myrmidon::scheduler::SpawnBlockingError;
use myrmidon::{Pid, Runtime};

import_exception!(myrmidon.errors, ActorEnded);
import_exception!(myrmidon.errors, AddressError);
import_exception!(myrmidon.errors, AskTimeout);
import_exception!(myrmidon.errors, Busy);
import_exception!(myrmidon.errors, ChildError);
import_exception!(myrmidon.errors, CodecError);
import_exception!(myrmidon.errors, ForkedError);
import_exception!(myrmidon.errors, ListenError);
import_exception!(myrmidon.errors, MailboxClosed);
import_exception!(myrmidon.errors, MyrmidonError);
import_exception!(myrmidon.errors, NoHistory);
import_exception!(myrmidon.errors, NoProcess);
import_exception!(myrmidon.errors, NoReply);
import_exception!(myrmidon.errors, NodeDown);
import_exception!(myrmidon.errors, OwnActor);
import_exception!(myrmidon.errors, PayloadTooLarge);
import_exception!(myrmidon.errors, RegisterError);
import_exception!(myrmidon.errors, RemoteActorError);
import_exception!(myrmidon.errors, RuntimeClosed);
import_exception!(myrmidon.errors, SpecError);
import_exception!(myrmidon.errors, StartError);
import_exception!(myrmidon.errors, StepLimit);
import_exception!(myrmidon.errors, Timeout);
import_exception!(myrmidon.errors, Unsupported);

/// Looks all classes up now: an import while the interpreter ends could fail.
pub(crate) fn load(py: Python<'_>) {
    ActorEnded::type_object(py);
    AddressError::type_object(py);
    AskTimeout::type_object(py);
    Busy::type_object(py);
    ChildError::type_object(py);
    CodecError::type_object(py);
    ForkedError::type_object(py);
    ListenError::type_object(py);
    MailboxClosed::type_object(py);
    MyrmidonError::type_object(py);
    NoHistory::type_object(py);
    NoProcess::type_object(py);
    NoReply::type_object(py);
    NodeDown::type_object(py);
    OwnActor::type_object(py);
    PayloadTooLarge::type_object(py);
    RegisterError::type_object(py);
    RemoteActorError::type_object(py);
    RuntimeClosed::type_object(py);
    SpecError::type_object(py);
    StartError::type_object(py);
    StepLimit::type_object(py);
    Timeout::type_object(py);
    Unsupported::type_object(py);
}

pub(crate) fn register(error: &CoreRegisterError) -> PyErr {
    match error {
        CoreRegisterError::NoProcess(_) => NoProcess::new_err(error.to_string()),
        CoreRegisterError::Full(_) => Busy::new_err(error.to_string()),
        _ => RegisterError::new_err(error.to_string()),
    }
}

pub(crate) fn swap(error: &SwapError) -> PyErr {
    match error {
        SwapError::NoHistory(_) => NoHistory::new_err(error.to_string()),
        SwapError::Remote(_) => Unsupported::new_err(error.to_string()),
        SwapError::MessageType(pid) => Unsupported::new_err(format!(
            "cannot swap the code of actor {pid}: it is none that takes bytes, but a supervisor, or written in Rust"
        )),
        _ => NoProcess::new_err(error.to_string()),
    }
}

/// The pool for blocking work has no room, or is gone.
pub(crate) fn busy<F>(error: &SpawnBlockingError<F>) -> PyErr {
    match error {
        SpawnBlockingError::ShutDown { .. } => closed_meanwhile(),
        _ => Busy::new_err(error.to_string()),
    }
}

/// The runtime went down during a call.
pub(crate) fn closed_meanwhile() -> PyErr {
    RuntimeClosed::new_err("the Runtime was shut down during the call: make a new one")
}

/// For calls that need a living actor and were given another number.
pub(crate) fn no_process(pid: u64) -> PyErr {
    let text = match pid {
        0 => "0, or a number out of range, is nobody's PID: give the PID of an actor".to_owned(),
        _ => format!("no actor {pid} here: it has ended, or is of another runtime; look its name up again"),
    };
    NoProcess::new_err(text)
}

/// For calls that only the node of an actor can carry out.
///
/// # Errors
/// `Unsupported` with this advice if that is another one.
pub(crate) fn refuse_remote(core: &Runtime, pid: Pid, advice: &str) -> PyResult<()> {
    match core.is_remote(pid) {
        true => Err(Unsupported::new_err(format!("actor {pid} is one of another node: {advice}"))),
        false => Ok(()),
    }
}
