//! Methods of `Runtime` about observed actors, which keep what they receive.

use myrmidon::actor::{Observed, SpawnOptions};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::number::{self, Id};
use crate::options;
use crate::payload;
use crate::runtime::Runtime;
use crate::system_message::PySystemMessage;

#[pymethods]
impl Runtime {
    /// Starts an actor that keeps what it receives until `get_messages` takes it. Exits of linked
    /// actors arrive as messages. Returns its PID.
    #[pyo3(signature = (budget=100))]
    fn spawn_observed_handler(&self, #[pyo3(from_py_with = number::budget)] budget: u32) -> PyResult<u64> {
        let core = self.core()?;
        let budget = Some(options::budget(budget)?);
        // On the workers: none of its code is Python's.
        let options = SpawnOptions { budget, ..SpawnOptions::default() };
        Ok(core.spawn_observed(options).as_u64())
    }

    /// Takes what an observed actor has received since the last call, in order: `bytes` and
    /// `PySystemMessage`. Works once more after its end; then, and for any other PID, there is
    /// nothing to take.
    fn get_messages<'py>(&self, py: Python<'py>, pid: Id) -> PyResult<Bound<'py, PyList>> {
        let core = self.core()?;
        let list = PyList::empty(py);
        let Some(observer) = pid.pid() else { return Ok(list) };
        for message in core.take_messages(observer).unwrap_or_default() {
            match message {
                Observed::Message(payload) => list.append(payload::into_python(py, payload)?)?,
                Observed::System(system) => list.append(PySystemMessage::new(py, observer, system)?)?,
            }
        }
        Ok(list)
    }
}
