//! What nobody was told of goes to Python's `logging`, from a thread of ours, so that neither an I/O
//! thread nor a worker ever waits for the interpreter.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use myrmidon::runtime::{Event, EventLimit, EventSink, one_line};
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber, span};

use crate::exit_reason::traceback;
use crate::failures::Watchers;
use crate::finish;
use crate::known;
use crate::lane::Crew;
use crate::runtime::Runtime;

/// Records that may wait to be logged; more are counted and left out.
const MOST: usize = 1024;
static WAITING: AtomicUsize = AtomicUsize::new(0);
static LEFT_OUT: AtomicUsize = AtomicUsize::new(0);

/// Where a runtime's events are logged.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Who does it; set once the runtime has started.
    crew: Arc<OnceLock<Arc<Crew>>>,
    pub(crate) failures: Arc<Watchers>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { crew: Arc::default(), failures: Arc::default() }
    }

    /// Says who logs.
    pub(crate) fn open(&self, crew: &Arc<Crew>) {
        let _ = self.crew.set(crew.clone());
    }

    /// Has the record logged soon, if there is room.
    fn take(&self, record: Record) {
        if let Some(crew) = self.crew.get() {
            record.submit(crew);
        }
    }

    /// The same for one of code that has failed though nobody is told.
    fn take_failure(&self, record: Record) {
        self.failures.show(&record.text);
        self.take(record);
    }
}

#[pymethods]
impl Runtime {
    /// Has `text` logged by `myrmidon.actor` as a warning, in one line: soon, and on another thread. It may come from
    /// another node.
    fn _warn(&self, text: &str) {
        self.shared().desk.take(Record::of_actor("warning", one_line(text)));
    }

    /// The same for code of an actor that has failed and ended nothing; `traceback` is shown below.
    fn _failed(&self, text: &str, traceback: &str) {
        let text = format!("{}\n{}", one_line(text), indented(traceback));
        self.shared().desk.take_failure(Record::of_actor("error", text));
    }
}

/// The listener for a runtime's events. It never blocks the thread that reports.
pub(crate) fn reporter(desk: Desk) -> EventSink {
    let limit = EventLimit::default();
    Arc::new(move |event| {
        let Some(mut record) = Record::of(event) else { return };
        if let Event::Crash { asker_told: false, .. } | Event::SwapFailed { .. } = event {
            desk.failures.show(&record.text);
        }
        if let Some(left_out) = limit.admit(event) {
            record.left_out(left_out);
            desk.take(record);
        }
    })
}

/// Sends warnings and errors of the Rust side to the loggers of the same names.
pub(crate) fn install() {
    // Somebody else who has set one in this library's name gets the events.
    let _ = tracing::subscriber::set_global_default(Warnings);
}

struct Record {
    logger: String,
    /// A method of the logger.
    level: &'static str,
    text: String,
}

impl Record {
    fn of(event: &Event) -> Option<Self> {
        let (logger, level, text) = match event {
            Event::Crash { pid, reason, .. } => {
                let traceback = traceback(reason).unwrap_or_default();
                let text = format!("actor {pid} ended: {}\n{}", one_line(reason), indented(&traceback));
                ("myrmidon.actor", "error", text)
            }
            Event::SwapFailed { pid, version, error } => {
                // Of an exception its traceback follows.
                let (error, traceback) = error.split_once('\n').unwrap_or((error, ""));
                let text = format!(
                    "a hot swap of actor {pid} failed, version {version} goes on: {}\n{}",
                    one_line(error),
                    indented(traceback)
                );
                ("myrmidon.actor", "error", text)
            }
            Event::Restarting { pid, reason } => (
                "myrmidon.supervisor",
                "warning",
                format!("actor {pid} ended ({}) and is restarted", one_line(reason)),
            ),
            Event::GaveUp { supervisor, child, reason } => {
                let text = format!(
                    "children of supervisor {supervisor} failed too often: it ends; the last was {child:?} ({})",
                    one_line(reason)
                );
                ("myrmidon.supervisor", "error", text)
            }
            Event::FactoryFailed { error } => (
                "myrmidon.supervisor",
                "error",
                format!("a factory failed and is tried again: {}", one_line(error)),
            ),
            Event::RemoteDown { addr, pid, reason } => (
                "myrmidon.node",
                "warning",
                format!("the monitored actor {pid} at {addr} is gone: {}", one_line(reason)),
            ),
            Event::Stalled { pid, running_for } => {
                let text =
                    format!("a handler of actor {pid} has run for {running_for:.0?} and holds up its thread");
                ("myrmidon.actor", "warning", text)
            }
            Event::Recovered { pid, took } => {
                let text = format!(
                    "the handler of actor {pid} that held up its thread has returned after {took:.0?}"
                );
                ("myrmidon.actor", "info", text)
            }
            _ => return None,
        };
        Some(Self { logger: logger.to_owned(), level, text: text.trim_end().to_owned() })
    }

    fn of_actor(level: &'static str, text: String) -> Self {
        Self { logger: "myrmidon.actor".to_owned(), level, text: text.trim_end().to_owned() }
    }

    /// Says how many records like this one there could have been before it.
    fn left_out(&mut self, records: u64) {
        if records > 0 {
            self.text.push_str(&format!(" ({records} like this one were left out before it)"));
        }
    }

    /// Has the record logged soon, if there is room.
    fn submit(mut self, chores: &Crew) {
        let Some(place) = Place::take() else {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let left_out = LEFT_OUT.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            self.text.push_str(&format!(" ({left_out} records before this one were left out)"));
        }
        chores.lane().submit(Box::new(move || {
            drop(place);
            self.log();
        }));
    }

    fn log(&self) {
        Python::attach(|py| {
            let logger = known::GET_LOGGER.get(py).and_then(|get_logger| get_logger.call1((&self.logger,)));
            let logged = logger.and_then(|logger| logger.call_method1(self.level, ("%s", &self.text)));
            if let Err(error) = logged {
                error.write_unraisable(py, None);
            }
        });
    }
}

/// A place among the records that wait, free again when dropped: a lane that was closed drops what
/// it was given.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let (before, place) = (WAITING.fetch_add(1, Ordering::Relaxed), Self);
        (before < MOST).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A traceback, which may be the text of another node: none of its lines looks like a record of its own.
fn indented(traceback: &str) -> String {
    let lines = traceback.lines().map(|line| {
        let shown: String = line.chars().filter(|c| !c.is_control()).collect();
        format!("    {shown}\n")
    });
    lines.collect()
}

/// The receiver of `tracing` events. Spans are not followed.
struct Warnings;

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("myrmidon")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let Some(chores) = finish::running_chores() else { return };
        let metadata = event.metadata();
        let mut text = Text::default();
        event.record(&mut text);
        let level = if *metadata.level() == Level::ERROR { "error" } else { "warning" };
        let logger = metadata.target().replace("::", ".").replacen("myrmidon_", "myrmidon.", 1);
        let text = one_line(&(text.message + &text.fields));
        Record { logger, level, text }.submit(&chores);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// An event as one line: its message, then its fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let written = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
}
