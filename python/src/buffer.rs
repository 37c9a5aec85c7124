//! Buffers by number, as earlier versions had them, and how buffers are sent.
#![allow(unsafe_code, reason = "capsules; every block says why it is sound")]

use std::ffi::c_void;
use std::ptr::NonNull;

use myrmidon::buffer::{BufferId, BufferTable, HeldTable};
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyMemoryView};

use crate::errors::Busy;
use crate::memory::Buffer;
use crate::number::{self, Id};
use crate::payload;
use crate::runtime::Runtime;

/// Buffers that may wait to be sent at the same time.
const MOST: usize = 65_536;

/// Buffers that were allocated and not yet sent or freed.
static BUFFERS: BufferTable<Py<Buffer>> = BufferTable::new();

/// The buffers, for who forks.
pub(crate) fn hold() -> HeldTable<'static, Py<Buffer>> {
    BUFFERS.hold()
}

/// Allocates `size` zero bytes to be filled in place and sent with `Runtime.send_buffer`.
///
/// Returns `(id, view, capsule)`: the number to send it by, a writable `memoryview`, and a capsule
/// named "myrmidon.buffer" with the address, for native code, which must not write to it after the
/// send. The memory lives as long as any of view, capsule and receiver. If a view of it is still
/// alive when it is sent the receiver gets a snapshot; release the view first
/// (`view.release()`) and the memory itself is handed over, without a copy.
///
/// Raises `Busy` if 65,536 buffers wait to be sent, `MemoryError`.
#[pyfunction]
pub(crate) fn allocate_buffer(
    py: Python<'_>,
    #[pyo3(from_py_with = number::size)] size: usize,
) -> PyResult<(u64, Bound<'_, PyMemoryView>, Bound<'_, PyCapsule>)> {
    if BUFFERS.len() >= MOST {
        return Err(Busy::new_err(format!(
            "{MOST} buffers wait to be sent: send some or free_buffer() them"
        )));
    }
    let buffer = Bound::new(py, Buffer::new(py, size)?)?;
    let (view, capsule) = (PyMemoryView::from(&buffer)?, capsule(py, buffer.get().bytes())?);
    Ok((BUFFERS.insert(buffer.unbind()).as_u64(), view, capsule))
}

/// Frees a buffer that shall not be sent. Returns whether it was waiting.
#[pyfunction]
pub(crate) fn free_buffer(buffer_id: Id) -> bool {
    BUFFERS.take(BufferId::from_u64(buffer_id.0)).is_some()
}

#[pymethods]
impl Runtime {
    /// The same as `myrmidon.allocate_buffer`.
    fn allocate_buffer<'py>(
        &self,
        py: Python<'py>,
        #[pyo3(from_py_with = number::size)] size: usize,
    ) -> PyResult<(u64, Bound<'py, PyMemoryView>, Bound<'py, PyCapsule>)> {
        self.core()?;
        allocate_buffer(py, size)
    }

    /// Sends a `Buffer`, or the allocated buffer of that number, to a local actor, which receives
    /// `bytes`. The buffer is sent afterwards, and the number dead. Returns whether buffer and actor
    /// were alive and the actor took it; if only the actor was dead, or its full mailbox rejects the buffer,
    /// that stays.
    fn send_buffer(&self, py: Python<'_>, pid: Id, buffer: Sendable<'_>) -> PyResult<bool> {
        let core = self.core()?;
        let Some(pid) = pid.pid().filter(|pid| core.is_alive(*pid)) else { return Ok(false) };
        let (number, buffer) = match buffer {
            Sendable::Buffer(buffer) => (None, buffer),
            Sendable::Number(number) => {
                let number = BufferId::from_u64(number.0);
                match BUFFERS.with(number, |buffer| buffer.clone_ref(py)) {
                    Some(buffer) => (Some(number), buffer.into_bound(py)),
                    None => return Ok(false),
                }
            }
        };
        let bytes = match buffer.get().hand_over(py) {
            Ok(bytes) => bytes,
            // Another thread is sending it at this moment.
            Err(_) if number.is_some() => return Ok(false),
            Err(error) => return Err(error),
        };
        match core.send(pid, payload::wrap(bytes)) {
            Ok(()) => {
                drop(number.and_then(|number| BUFFERS.take(number)));
                Ok(true)
            }
            Err(error) => self.unsent(py, error, &buffer),
        }
    }
}

enum Sendable<'py> {
    Buffer(Bound<'py, Buffer>),
    Number(Id),
}

impl<'py> FromPyObject<'_, 'py> for Sendable<'py> {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(buffer) = given.cast::<Buffer>() {
            return Ok(Self::Buffer(buffer.to_owned()));
        }
        given.extract().map(Self::Number).map_err(|error: PyErr| {
            let kind = given.get_type();
            let refused = PyTypeError::new_err(format!(
                "what is sent is a Buffer or the number of one, not {kind}: send() takes all that offers bytes"
            ));
            if error.is_instance_of::<PyTypeError>(given.py()) { refused } else { error }
        })
    }
}

/// A capsule that holds the address of the memory and a reference to its object.
fn capsule<'py>(py: Python<'py>, bytes: &Py<PyBytes>) -> PyResult<Bound<'py, PyCapsule>> {
    unsafe extern "C" fn release(capsule: *mut ffi::PyObject) {
        // SAFETY: the context is the owned reference that was put there below.
        unsafe { ffi::Py_XDECREF(ffi::PyCapsule_GetContext(capsule).cast()) }
    }
    // SAFETY: the object is a `bytes`, whose memory never moves and is never null.
    let start = unsafe { NonNull::new_unchecked(ffi::PyBytes_AsString(bytes.as_ptr()).cast::<c_void>()) };
    // SAFETY: the address is valid as long as the object, which `release` lets go.
    let capsule =
        unsafe { PyCapsule::new_with_pointer_and_destructor(py, start, c"myrmidon.buffer", Some(release))? };
    let owner = bytes.clone_ref(py).into_ptr();
    // SAFETY: a capsule made here; its context is the reference that `release` takes.
    let _ = unsafe { ffi::PyCapsule_SetContext(capsule.as_ptr(), owner.cast()) };
    Ok(capsule)
}
