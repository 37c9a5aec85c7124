//! A child of a supervisor, as Python sees it.

use myrmidon::Pid;
use myrmidon::supervision::{ChildInfo as Info, Restart};
use pyo3::prelude::*;

/// A child as it is now.
#[pyclass(frozen, eq, get_all, module = "myrmidon")]
#[derive(PartialEq)]
pub(crate) struct ChildInfo {
    /// The name by which its supervisor knows it.
    id: String,
    /// Its PID; `None` if it is down or being started.
    pid: Option<u64>,
    /// "permanent", "transient" or "temporary".
    restart: &'static str,
    /// Whether it is a supervisor.
    supervisor: bool,
}

#[pymethods]
impl ChildInfo {
    fn __repr__(&self) -> String {
        let state = self.pid.map_or("down".to_owned(), |pid| pid.to_string());
        format!("<ChildInfo {:?} {state} {}>", self.id, self.restart)
    }
}

impl From<Info> for ChildInfo {
    fn from(info: Info) -> Self {
        let restart = match info.restart {
            Restart::Permanent => "permanent",
            Restart::Transient => "transient",
            Restart::Temporary => "temporary",
        };
        Self { id: info.id, pid: info.pid.map(Pid::as_u64), restart, supervisor: info.supervisor }
    }
}
