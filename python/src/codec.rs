//! Plain data as bytes: a closed set of types in MessagePack.
//!
//! None, bool, int, float, str, bytes, list and dict are what MessagePack has. Extension types hold what it
//! has not, and objects of classes that both sides have registered under a tag; nothing is ever looked up
//! by a name that came in a message, but in that register (G13).

mod decoder;
mod encoder;
mod hashes;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple, PyType};

/// How deep data may be nested (L22). Both limits are those of either side, counted by values as Python sees them: a tuple
/// or an object is one, however many parts its bytes have.
const DEPTH: usize = 32;
/// How many containers and objects one message may hold (L22). Everything else takes no more memory than a
/// small multiple of its bytes.
const CONTAINERS: usize = 65_536;

/// The extension types.
mod extension {
    /// A registered object: its tag, then a map of its fields.
    pub(super) const OBJECT: i8 = 1;
    /// A tuple, as an array.
    pub(super) const TUPLE: i8 = 2;
    /// An int of more than 64 bits: two's complement, the lowest byte first.
    pub(super) const BIG: i8 = 3;
    /// A set, as an array.
    pub(super) const SET: i8 = 4;
    /// A frozenset, as an array.
    pub(super) const FROZEN_SET: i8 = 5;
}

/// The bytes of plain data. Raises `CodecError` for anything else.
#[pyfunction]
pub(crate) fn encode<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &encoder::encode(value)?))
}

/// The data in bytes that `encode` made, here or elsewhere. Raises `CodecError` for any other bytes.
#[pyfunction]
pub(crate) fn decode<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    decoder::decode(py, data)
}

/// Has objects of `class` travel as `tag` and the attributes `fields`, from which `make` builds another.
#[pyfunction]
pub(crate) fn register_type(
    class: &Bound<'_, PyType>,
    tag: &Bound<'_, PyString>,
    fields: &Bound<'_, PyTuple>,
    make: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let register = Register::get(class.py());
    register.by_class.bind(class.py()).set_item(class, (tag, fields))?;
    register.by_tag.bind(class.py()).set_item(tag, make)
}

/// The class that is registered under `tag`, by its way to make one; `None` if there is none.
#[pyfunction]
pub(crate) fn registered_type<'py>(
    py: Python<'py>,
    tag: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    Register::get(py).by_tag.bind(py).get_item(tag)
}

/// The classes that travel.
struct Register {
    /// Class to tag and names of the fields.
    by_class: Py<PyDict>,
    /// Tag to what makes an object of a dict of fields.
    by_tag: Py<PyDict>,
}

impl Register {
    fn get(py: Python<'_>) -> &'static Self {
        static REGISTER: PyOnceLock<Register> = PyOnceLock::new();
        REGISTER
            .get_or_init(py, || Self { by_class: PyDict::new(py).unbind(), by_tag: PyDict::new(py).unbind() })
    }
}
