//! The way back of a question, as a pull actor has it.

use std::sync::Arc;

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;

use crate::payload;
use crate::shelf::Shelf;

/// The way back for one answer. It may be kept and used later. If it is dropped unused, who asked gets
/// `NoReply`; if the actor ends first, `ActorEnded`.
#[pyclass(frozen, module = "myrmidon")]
pub(crate) struct Reply {
    shelf: Arc<Shelf>,
    number: u64,
}

#[pymethods]
impl Reply {
    /// Answers with `data`. Returns whether somebody still waited.
    fn send(&self, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bytes = payload::frozen(data)?.into_any();
        let Some(answer) = self.shelf.answer(self.number) else { return Ok(false) };
        let Some(answer) = answer.in_time() else { return Ok(false) };
        answer.send_value(&bytes);
        Ok(true)
    }

    /// Has `error` raised where the question was asked, on this node; elsewhere it is told as text. The
    /// actor goes on. Returns whether somebody still waited.
    fn fail(&self, error: &Bound<'_, PyBaseException>) -> PyResult<bool> {
        let py = error.py();
        let Some(answer) = self.shelf.answer(self.number) else { return Ok(false) };
        let Some(answer) = answer.in_time() else { return Ok(false) };
        let error = PyErr::from_value(error.clone().into_any());
        let reason = crate::exit_reason::from_exception(py, &error);
        answer.fail(py, error, &reason);
        Ok(true)
    }

    fn __repr__(&self) -> String {
        let pid = self.shelf.pid().map_or(0, |pid| pid.as_u64());
        format!("<myrmidon.Reply of actor {pid}>")
    }
}

impl Reply {
    pub(crate) fn new(shelf: Arc<Shelf>, number: u64) -> Self {
        Self { shelf, number }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.shelf.drop_answer(self.number);
    }
}
