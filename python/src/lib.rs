//! The Python extension module `myrmidon._core`: what it registers, file by file.
//!
//! | file | holds |
//! |---|---|
//! | `runtime` | the class `Runtime`; its methods about one theme live in that theme's file |
//! | `actors` | spawn, send, stop, names, hot swap, timers |
//! | `handler`, `call` | the behaviour around a Python callable, and the call itself |
//! | `lane` | the threads that run handlers, and how a waiting handler makes way (D6) |
//! | `mesh` | listen, resolve, send and monitor across nodes |
//! | `nodes` | other nodes: a list, and who is told when it changes |
//! | `asyncio` | the bridge to event loops |
//! | `supervision`, `observed`, `buffer` | the methods of these themes |
//! | `payload`, `system_message`, `exit_reason`, `errors` | values that cross the border |
//! | `wait` | blocking with the interpreter let go, open to Ctrl-C |
//! | `logging`, `finish`, `fork` | crashes to `logging`; the end of the interpreter; `os.fork` |
//! | `transport` | the one place where "tcp", "tls" and "quic" become types |
#![deny(unsafe_code)]

mod actors;
mod asyncio;
mod buffer;
mod call;
mod command;
mod errors;
mod exit_reason;
mod finish;
mod fork;
mod handler;
mod lane;
mod logging;
mod mesh;
mod nodes;
mod observed;
mod payload;
mod runtime;
mod supervision;
mod system_message;
mod transport;
mod wait;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[pyo3::pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::asyncio::Request;
    #[pymodule_export]
    use super::buffer::{allocate_buffer, free_buffer};
    #[pymodule_export]
    use super::command::command_line;
    #[pymodule_export]
    use super::exit_reason::ExitReason;
    #[pymodule_export]
    use super::nodes::{NodeEvent, NodeInfo};
    #[pymodule_export]
    use super::runtime::{Runtime, version};
    #[pymodule_export]
    use super::system_message::PySystemMessage;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::errors::load(module.py());
        super::logging::install();
        super::fork::install(module.py())?;
        super::finish::install(module.py())
    }
}
