//! `Buffer`: memory to fill in place and hand to an actor.
//!
//! The memory is that of a `bytes` object that nobody else has seen, so handing it over is handing
//! over the object. Whoever can still write to it at that moment (a `memoryview`, an array) makes the
//! receiver get a snapshot instead.
#![allow(unsafe_code, reason = "the buffer protocol; every block says why it is sound")]

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::exceptions::{PyBufferError, PyMemoryError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::number;

/// The bit of `Buffer::exports` that says that the memory belongs to a receiver.
const SENT: usize = 1 << (usize::BITS - 1);

/// Memory of a fixed size, zero at first, to be filled in place and sent without a copy.
///
/// It offers the buffer protocol: `memoryview(buffer)`, `numpy.frombuffer(buffer, dtype)` and
/// `pyarrow.py_buffer(buffer)` read and write it where it lies. Every call that sends `bytes` takes it
/// too, and the receiver gets `bytes`. Sending moves it, unless the call says that it was not sent: afterwards it is empty-handed, and opening a
/// view of it or sending it again raises `BufferError`. Views from before stay usable and harmless: if
/// one is alive when the buffer is sent, the receiver gets a copy that they cannot reach; if none is,
/// it gets the memory itself.
///
/// Raises `MemoryError`.
#[pyclass(frozen, weakref, module = "myrmidon._core")]
pub(crate) struct Buffer {
    bytes: Py<PyBytes>,
    /// Views that can write, and [`SENT`].
    exports: AtomicUsize,
}

#[pymethods]
impl Buffer {
    #[new]
    pub(crate) fn new(py: Python<'_>, #[pyo3(from_py_with = number::size)] size: usize) -> PyResult<Self> {
        if isize::try_from(size).is_err() {
            return Err(too_large(size));
        }
        let bytes = PyBytes::new_with(py, size, |_| Ok(())).map_err(|error| {
            if error.is_instance_of::<PyMemoryError>(py) { too_large(size) } else { error }
        })?;
        let bytes = bytes.unbind();
        Ok(Self { bytes, exports: AtomicUsize::new(0) })
    }

    /// Whether it was sent.
    #[getter]
    fn sent(&self) -> bool {
        self.exports.load(Ordering::Acquire) & SENT != 0
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.bytes.bind(py).as_bytes().len()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let sent = if self.sent() { " sent" } else { "" };
        format!("<myrmidon.Buffer of {} bytes{sent}>", self.__len__(py))
    }

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

impl Buffer {
    /// The object whose memory it is; not to be shown to Python code before [`Self::hand_over`].
    pub(crate) fn bytes(&self) -> &Py<PyBytes> {
        &self.bytes
    }

    /// The content for a receiver: the memory itself if nobody can write to it any more, else a copy.
    ///
    /// # Errors
    /// If it was handed over before.
    pub(crate) fn hand_over<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.bytes.bind(py);
        match self.exports.fetch_or(SENT, Ordering::AcqRel) {
            0 => Ok(bytes.clone()),
            exports if exports & SENT == 0 => Ok(PyBytes::new(py, bytes.as_bytes())),
            _ => Err(was_sent()),
        }
    }

    /// Takes back what was handed over, where nobody has seen it.
    pub(crate) fn give_back(&self) {
        self.exports.fetch_and(!SENT, Ordering::AcqRel);
    }

    /// Counts a view.
    fn export(&self) -> PyResult<()> {
        let add = |exports| if exports & SENT == 0 { Some(exports + 1) } else { None };
        match self.exports.fetch_update(Ordering::AcqRel, Ordering::Acquire, add) {
            Ok(_) => Ok(()),
            Err(_) => Err(was_sent()),
        }
    }
}

fn too_large(size: usize) -> PyErr {
    PyMemoryError::new_err(format!("there is no memory of {size} bytes to be had: ask for less"))
}

fn was_sent() -> PyErr {
    PyBufferError::new_err("the buffer was sent and belongs to its receiver: allocate another")
}
