//! The `myrmidon` command inside the wheel.

use pyo3::prelude::*;

/// Runs the command line `args`, the program's name first. Returns the exit status.
#[pyfunction]
pub(crate) fn command_line(py: Python<'_>, args: Vec<String>) -> u8 {
    py.detach(|| myrmidon_cli::main_from(args))
}
