//! Buffers by number: memory to fill in place and hand to an actor.
//!
//! The memory is that of a `bytes` object that nobody else has seen, so handing it over is handing
//! over the object. Whoever can still write to it at that moment (a `memoryview`) makes the receiver
//! get a snapshot instead.
#![allow(unsafe_code, reason = "the buffer protocol and capsules; every block says why it is sound")]

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use myrmidon::Pid;
use myrmidon::buffer::{BufferId, BufferTable};
use pyo3::exceptions::{PyBufferError, PyMemoryError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule, PyMemoryView};

use crate::errors::Busy;
use crate::payload;
use crate::runtime::Runtime;

/// Buffers that may wait to be sent at the same time.
const MOST: usize = 65_536;
/// The bit of `Memory::exports` that says that the memory belongs to a receiver.
const SENT: usize = 1 << (usize::BITS - 1);

/// Buffers that were allocated and not yet sent or freed.
static BUFFERS: BufferTable<Py<Memory>> = BufferTable::new();

/// The memory of one buffer, as Python exports it.
#[pyclass(frozen, module = "myrmidon._core")]
struct Memory {
    bytes: Py<PyBytes>,
    /// Writable exports, and [`SENT`].
    exports: AtomicUsize,
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
    size: usize,
) -> PyResult<(u64, Bound<'_, PyMemoryView>, Bound<'_, PyCapsule>)> {
    if BUFFERS.len() >= MOST {
        return Err(Busy::new_err(format!(
            "{MOST} buffers wait to be sent: send some or free_buffer() them"
        )));
    }
    if isize::try_from(size).is_err() {
        return Err(PyMemoryError::new_err(format!("no memory has {size} bytes: ask for less")));
    }
    let bytes = PyBytes::new_with(py, size, |_| Ok(()))?.unbind();
    let capsule = capsule(py, &bytes)?;
    let memory = Bound::new(py, Memory { bytes, exports: AtomicUsize::new(0) })?;
    let id = BUFFERS.insert(memory.clone().unbind());
    Ok((id.as_u64(), PyMemoryView::from(&memory)?, capsule))
}

/// Frees a buffer that shall not be sent. Returns whether it was waiting.
#[pyfunction]
pub(crate) fn free_buffer(buffer_id: u64) -> bool {
    BUFFERS.take(BufferId::from_u64(buffer_id)).is_some()
}

#[pymethods]
impl Runtime {
    /// The same as `myrmidon.allocate_buffer`.
    fn allocate_buffer<'py>(
        &self,
        py: Python<'py>,
        size: usize,
    ) -> PyResult<(u64, Bound<'py, PyMemoryView>, Bound<'py, PyCapsule>)> {
        self.core()?;
        allocate_buffer(py, size)
    }

    /// Sends an allocated buffer to a local actor, which receives `bytes`. The number is dead
    /// afterwards. Returns whether buffer and actor were alive; if only the actor was dead, the
    /// buffer stays.
    fn send_buffer(&self, py: Python<'_>, pid: u64, buffer_id: u64) -> PyResult<bool> {
        let core = self.core()?;
        let Some(pid) = Pid::from_u64(pid).filter(|pid| core.is_alive(*pid)) else { return Ok(false) };
        let Some(memory) = BUFFERS.take(BufferId::from_u64(buffer_id)) else { return Ok(false) };
        Ok(core.send(pid, payload::wrap(memory.get().hand_over(py))).is_ok())
    }
}

#[pymethods]
impl Memory {
    /// # Safety
    /// Called by the interpreter with a `view` to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        slf.get().export()?;
        let bytes = slf.get().bytes.as_ptr();
        // SAFETY: the object is a `bytes`, whose memory is its own; nobody else has seen it, as
        // `export` fails once it was handed over, so writing to it is not seen as a change.
        let filled = unsafe {
            let (start, length) = (ffi::PyBytes_AsString(bytes), ffi::PyBytes_Size(bytes));
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start.cast(), length, 0, flags)
        };
        if filled == 0 {
            return Ok(());
        }
        slf.get().exports.fetch_sub(1, Ordering::AcqRel);
        Err(PyErr::fetch(slf.py()))
    }

    /// # Safety
    /// Called by the interpreter once per successful `__getbuffer__`.
    unsafe fn __releasebuffer__(&self, _view: *mut ffi::Py_buffer) {
        self.exports.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Memory {
    /// Counts an export.
    fn export(&self) -> PyResult<()> {
        let add = |exports| if exports & SENT == 0 { Some(exports + 1) } else { None };
        match self.exports.fetch_update(Ordering::AcqRel, Ordering::Acquire, add) {
            Ok(_) => Ok(()),
            Err(_) => Err(PyBufferError::new_err(
                "the buffer was sent and belongs to its receiver: allocate another",
            )),
        }
    }

    /// The content for a receiver: the memory itself if nobody can write to it any more, else a copy.
    fn hand_over<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = self.bytes.bind(py);
        match self.exports.compare_exchange(0, SENT, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => bytes.clone(),
            Err(_) => PyBytes::new(py, bytes.as_bytes()),
        }
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
