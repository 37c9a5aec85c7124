//! Message contents between Python and the core.

use bytes::Bytes;
use myrmidon::mailbox::{IntoBytes, Payload, Value};
use myrmidon::{Pid, Runtime};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use crate::memory::Buffer;

use crate::ask::Question;

/// A `bytes` object on its way: a Python receiver gets this very object, without a copy (D6); a
/// Rust actor and the network read its memory.
struct Message(PyBackedBytes);

impl IntoBytes for Message {
    fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

/// What a local actor is sent: `bytes` as it is, the memory of a `Buffer`, a copy of what could still
/// change.
pub(crate) fn local(data: &Bound<'_, PyAny>) -> PyResult<Payload> {
    Ok(wrap(frozen(data)?))
}

/// The payload around a `bytes` object.
pub(crate) fn wrap(bytes: Bound<'_, PyBytes>) -> Payload {
    Payload::Value(Value::with_bytes(Message(bytes.into())))
}

/// The payload of an answer, which was made `bytes` before.
pub(crate) fn returned(answer: Py<PyAny>) -> Payload {
    Python::attach(|py| match answer.into_bound(py).cast_into::<PyBytes>() {
        Ok(bytes) => wrap(bytes),
        Err(_) => Payload::from(Bytes::new()),
    })
}

/// What another node is sent.
pub(crate) fn remote(data: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    Ok(Bytes::from_owner(PyBackedBytes::from(frozen(data)?)))
}

/// The `bytes` that a handler gets: the sender's own object where it came from Python.
pub(crate) fn into_python(py: Python<'_>, payload: Payload) -> PyResult<Bound<'_, PyBytes>> {
    let value = match payload {
        Payload::Bytes(bytes) => return Ok(PyBytes::new(py, &bytes)),
        Payload::Value(value) => value,
    };
    match value.downcast::<Message>() {
        Ok(message) => Ok(message.0.into_pyobject(py)?),
        Err(value) => match value.into_bytes() {
            Ok(bytes) => Ok(PyBytes::new(py, &bytes)),
            Err(value) => {
                Err(PyTypeError::new_err(format!("a Python actor takes bytes, and was sent {value:?}")))
            }
        },
    }
}

/// How many bytes `copy` would give.
pub(crate) fn size(payload: &Payload) -> usize {
    match payload {
        Payload::Bytes(bytes) => bytes.len(),
        Payload::Value(value) => match value.downcast_ref::<Message>() {
            Some(message) => message.0.len(),
            None => value.downcast_ref::<Question>().map_or(0, |question| size(&question.message)),
        },
    }
}

/// A copy of the bytes of a message that somebody else keeps; `None` where it holds no bytes.
pub(crate) fn copy(payload: &Payload) -> Option<Vec<u8>> {
    match payload {
        Payload::Bytes(bytes) => Some(bytes.to_vec()),
        Payload::Value(value) => match value.downcast_ref::<Message>() {
            Some(message) => Some(message.0.to_vec()),
            None => value.downcast_ref::<Question>().and_then(|question| copy(&question.message)),
        },
    }
}

/// The `bytes` of what offers bytes.
pub(crate) fn frozen<'py>(data: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    frozen_as(data, "a message is bytes")
}

/// The `bytes` of what a handler returned to who asked.
pub(crate) fn frozen_answer<'py>(answer: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    frozen_as(answer, "the answer of a handler is bytes, or None for none")
}

fn frozen_as<'py>(data: &Bound<'py, PyAny>, what: &str) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if let Ok(buffer) = data.cast::<Buffer>() {
        return buffer.get().hand_over(data.py());
    }
    match PyMemoryView::from(data) {
        Ok(view) if holds_pointers(&view)? => Err(PyTypeError::new_err(format!(
            "{what}, and the memory of this {} holds pointers to objects, which mean nothing elsewhere: encode it first",
            data.get_type().name()?
        ))),
        Ok(view) => Ok(data.py().get_type::<PyBytes>().call1((view,))?.cast_into()?),
        Err(error) if error.is_instance_of::<PyTypeError>(data.py()) => {
            let kind = data.get_type().name()?;
            Err(PyTypeError::new_err(format!(
                "{what}, not {kind}: encode it first, for example text.encode(), or give something \
                 that offers its memory as a buffer"
            )))
        }
        Err(error) => Err(error),
    }
}

/// Whether the items of a buffer are references, as in an array of NumPy of objects.
fn holds_pointers(view: &Bound<'_, PyMemoryView>) -> PyResult<bool> {
    let format = view.getattr(intern!(view.py(), "format"))?;
    Ok(format.cast::<PyString>()?.to_str()?.contains('O'))
}

/// Leaves `data` with who could not send it: a `Buffer` is as it was before.
#[cold]
pub(crate) fn give_back(data: &Bound<'_, PyAny>) {
    if let Ok(buffer) = data.cast::<Buffer>() {
        buffer.get().give_back();
    }
}

/// Whether sending `data` would move it to nobody.
pub(crate) fn is_wasted(data: &Bound<'_, PyAny>, core: &Runtime, to: Option<Pid>) -> bool {
    // Nearly everything is `bytes`, which is told faster.
    let moved = !data.is_instance_of::<PyBytes>() && data.is_instance_of::<Buffer>();
    moved && !to.is_some_and(|to| core.is_alive(to))
}
