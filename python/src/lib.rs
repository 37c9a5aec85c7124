//! The Python extension module `myrmidon._core`: what it registers, file by file.
//!
//! | file | holds |
//! |---|---|
//! | `runtime` | the class `Runtime`; its methods about one theme live in that theme's file |
//! | `actors` | spawn, send, stop, names, hot swap, timers |
//! | `send_blocking`, `join` | sending that waits for room; waiting for the end of an actor |
//! | `handler`, `call` | the behaviour around a Python callable, and the call itself |
//! | `class_actor` | actors that are objects, with hooks |
//! | `codec` | plain data as bytes |
//! | `lane` | the threads that run handlers, and how a waiting handler makes way (D6) |
//! | `lanes` | all lanes of a runtime, and the pool for handlers that block |
//! | `remote` | PIDs that stand for actors of other nodes |
//! | `mesh` | listen, resolve, send and monitor across nodes |
//! | `nodes` | other nodes: a list, and who is told when it changes |
//! | `ask`, `asking`, `outcome` | questions, how they are awaited, and what comes of them |
//! | `behaviour` | what a callable becomes |
//! | `giver`, `code`, `codes`, `shelf` | actors whose code runs somewhere else than in their turns |
//! | `async_handler`, `handler_task`, `pull` | such code: `async def` handlers, functions with a mailbox |
//! | `mailbox`, `reply`, `own_loop` | what it has: the mailbox, ways back, an event loop |
//! | `current`, `current_task` | whose code runs, and in which task |
//! | `seat`, `loop_bell` | where a thread waits; how an event loop is told |
//! | `loop_lanes` | where the watchdog sees what runs in a loop |
//! | `asyncio` | calls that wait, to be awaited in an event loop |
//! | `options` | how an actor is started |
//! | `supervision`, `observed`, `buffer` | the methods of these themes |
//! | `supervisors`, `child_info` | supervisors as values, and handles to those that run |
//! | `introspection`, `dead_letters` | looking at actors, names and lost messages |
//! | `simulation` | a runtime whose actors a test runs |
//! | `memory`, `payload`, `system_message`, `exit_reason`, `errors` | values that cross the border |
//! | `wait` | blocking with the interpreter let go, open to Ctrl-C |
//! | `logging`, `failures` | crashes to `logging`, and to tests |
//! | `finish`, `fork` | the end of the interpreter; `os.fork` |
//! | `transport` | the one place where "tcp", "tls" and "quic" become types |
#![deny(unsafe_code)]

mod actors;
mod ask;
mod asking;
mod async_handler;
mod asyncio;
mod behaviour;
mod buffer;
mod call;
mod child_info;
mod class_actor;
mod code;
mod codec;
mod codes;
mod command;
mod current;
mod current_task;
mod dead_letters;
mod errors;
mod exit_reason;
mod failures;
mod finish;
mod fork;
mod giver;
mod handler;
mod handler_task;
mod introspection;
mod join;
mod known;
mod lane;
mod lanes;
mod logging;
mod loop_bell;
mod loop_lanes;
mod mailbox;
mod memory;
mod mesh;
mod nodes;
mod number;
mod observed;
mod options;
mod outcome;
mod own_loop;
mod payload;
mod promise;
mod pull;
mod remote;
mod reply;
mod runtime;
mod seat;
mod send_blocking;
mod shelf;
mod simulation;
mod supervision;
mod supervisors;
mod system_message;
mod transport;
mod wait;
mod waiters;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[pyo3::pymodule(gil_used = false)]
mod _core {
    use pyo3::exceptions::PyImportError;
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::asking::Asking;
    #[pymodule_export]
    use super::asyncio::{Begin, Request};
    #[pymodule_export]
    use super::buffer::{allocate_buffer, free_buffer};
    #[pymodule_export]
    use super::child_info::ChildInfo;
    #[pymodule_export]
    use super::class_actor::Failure;
    #[pymodule_export]
    use super::codec::{decode, encode, register_type, registered_type};
    #[pymodule_export]
    use super::command::command_line;
    #[pymodule_export]
    use super::current::current;
    #[pymodule_export]
    use super::dead_letters::{DeadLetter, DeadLetterWatch};
    #[pymodule_export]
    use super::exit_reason::{_exit_reason, ExitReason};
    #[pymodule_export]
    use super::failures::Failures;
    #[pymodule_export]
    use super::handler_task::HandlerTask;
    #[pymodule_export]
    use super::introspection::{ActorBonds, ActorInfo};
    #[pymodule_export]
    use super::known::load;
    #[pymodule_export]
    use super::mailbox::Mailbox;
    #[pymodule_export]
    use super::memory::Buffer;
    #[pymodule_export]
    use super::nodes::{NodeEvent, NodeInfo};
    #[pymodule_export]
    use super::promise::Promise;
    #[pymodule_export]
    use super::reply::Reply;
    #[pymodule_export]
    use super::runtime::{Runtime, version};
    #[pymodule_export]
    use super::shelf::Matcher;
    #[pymodule_export]
    use super::simulation::Simulation;
    #[pymodule_export]
    use super::supervisors::Supervisor;
    #[pymodule_export]
    use super::system_message::PySystemMessage;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        if !super::call::is_main_interpreter(module.py()) {
            return Err(PyImportError::new_err(
                "myrmidon runs in the main interpreter only: its threads belong to that, and are not there for another",
            ));
        }
        super::errors::load(module.py());
        super::asking::install(module.py())?;
        super::promise::install(module.py());
        super::logging::install();
        super::fork::install()?;
        super::finish::install(module.py())
    }
}
