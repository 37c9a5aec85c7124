//! Methods of `Runtime` about observed actors, which keep what they receive.

use myrmidon::Pid;
use myrmidon::actor::{Observed, SpawnOptions};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::errors;
use crate::payload;
use crate::runtime::Runtime;
use crate::system_message::PySystemMessage;

#[pymethods]
impl Runtime {
    /// Starts an actor that keeps what it receives until `get_messages` takes it. Exits of linked
    /// actors arrive as messages. Returns its PID.
    #[pyo3(signature = (budget=100))]
    fn spawn_observed_handler(&self, budget: u32) -> PyResult<u64> {
        let core = self.core()?;
        let options = SpawnOptions { lane: 0, ..self.options(budget)? };
        Ok(core.spawn_observed(options).as_u64())
    }

    /// Takes what an observed actor has received since the last call, in order: `bytes` and
    /// `PySystemMessage`. Works once more after its end.
    ///
    /// Raises `NoProcess` if `pid` is no observed actor.
    fn get_messages<'py>(&self, py: Python<'py>, pid: u64) -> PyResult<Bound<'py, PyList>> {
        let core = self.core()?;
        let observer = Pid::from_u64(pid).ok_or_else(|| errors::no_process(pid))?;
        let taken = core.take_messages(observer).ok_or_else(|| errors::no_process(pid))?;
        let list = PyList::empty(py);
        for message in taken {
            match message {
                Observed::Message(payload) => list.append(payload::into_python(py, payload)?)?,
                Observed::System(system) => list.append(PySystemMessage::new(observer, system))?,
            }
        }
        Ok(list)
    }
}
