//! What nobody was told of goes to Python's `logging`, once, from a thread of ours.

use std::sync::{Arc, OnceLock};

use myrmidon::runtime::{Event, EventSink};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::exit_reason::traceback;
use crate::lane::Crew;

/// The crew that logs; set once the runtime has started.
pub(crate) type Desk = Arc<OnceLock<Arc<Crew>>>;

/// The listener for a runtime's events. It never blocks the thread that reports.
pub(crate) fn reporter(desk: Desk) -> EventSink {
    Arc::new(move |event| {
        if let (Some(record), Some(chores)) = (Record::of(event), desk.get()) {
            chores.lane().submit(Box::new(move || record.log()));
        }
    })
}

struct Record {
    logger: &'static str,
    /// A method of the logger.
    level: &'static str,
    text: String,
}

impl Record {
    fn of(event: &Event) -> Option<Self> {
        let (logger, level, text) = match event {
            Event::Crash { pid, reason } => {
                let traceback = traceback(reason).unwrap_or_default();
                let text = format!("actor {pid} ended: {reason}\n{traceback}");
                ("myrmidon.actor", "error", text.trim_end().to_owned())
            }
            Event::Restarting { pid, reason } => {
                ("myrmidon.supervisor", "warning", format!("actor {pid} ended ({reason}) and is restarted"))
            }
            Event::FactoryFailed { error } => {
                ("myrmidon.supervisor", "error", format!("a factory failed and is tried again: {error}"))
            }
            Event::RemoteDown { addr, pid, reason } => {
                ("myrmidon.node", "warning", format!("the monitored actor {pid} at {addr} is gone: {reason}"))
            }
            _ => return None,
        };
        Some(Self { logger, level, text })
    }

    fn log(&self) {
        static GET_LOGGER: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        Python::attach(|py| {
            let logger =
                GET_LOGGER.import(py, "logging", "getLogger").and_then(|get| get.call1((self.logger,)));
            let logged = logger.and_then(|logger| logger.call_method1(self.level, ("%s", &self.text)));
            if let Err(error) = logged {
                error.write_unraisable(py, None);
            }
        });
    }
}
