//! What the runtime reports to the program that hosts it.

use std::sync::Arc;
use std::time::Duration;

use crate::actor::{ExitReason, shielded};
use crate::node::LogLimit;
use crate::pid::Pid;

/// Something that nobody in the actor system was told, but somebody should know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An actor failed and no link, monitor or supervisor heard of it.
    Crash {
        /// The actor.
        pid: Pid,
        /// How it failed.
        reason: ExitReason,
        /// Whether it failed in a question by bytes, and who asked waited for the outcome, which this was. Not known
        /// of temporary children of a supervisor.
        asker_told: bool,
        /// Whether another node has ended it, by an exit signal or a link: also through actors here.
        from_afar: bool,
    },
    /// New code could not take over; the old goes on.
    SwapFailed {
        /// The actor.
        pid: Pid,
        /// The version that goes on.
        version: u64,
        /// Why.
        error: String,
    },
    /// A supervised actor ended and its factory is about to run.
    Restarting {
        /// The actor that ended.
        pid: Pid,
        /// Why.
        reason: ExitReason,
    },
    /// Children failed more often than their supervisor allows: it stops the others and ends.
    GaveUp {
        /// The supervisor.
        supervisor: Pid,
        /// The child that failed last.
        child: String,
        /// How.
        reason: String,
    },
    /// A factory raised, returned nothing, or returned a PID that is not alive. It is tried again.
    FactoryFailed {
        /// What it said.
        error: String,
    },
    /// A remote actor that was monitored is gone or cannot be reached, and the monitor had no owner
    /// to be told.
    RemoteDown {
        /// The node.
        addr: String,
        /// The PID over there.
        pid: Pid,
        /// Why.
        reason: ExitReason,
    },
    /// A handler has kept its thread for longer than
    /// [`stall_after`](crate::config::RuntimeConfig::stall_after), or on a lane
    /// [`lane_stall_after`](crate::config::RuntimeConfig::lane_stall_after). Reported again whenever the time
    /// has doubled (S42).
    Stalled {
        /// The actor.
        pid: Pid,
        /// For how long at least.
        running_for: Duration,
    },
    /// A handler that was reported as stalled has returned.
    Recovered {
        /// The actor.
        pid: Pid,
        /// How long it took, to a few milliseconds.
        took: Duration,
    },
}

/// Receives every [`Event`]. Called on the runtime's own threads: it must not wait.
pub type EventSink = Arc<dyn Fn(&Event) + Send + Sync>;

/// The same sink, but a panic in it stays there: workers and factories call it.
pub(super) fn shield(sink: EventSink) -> EventSink {
    Arc::new(move |event| shielded("the event sink", || sink(event)))
}

/// How many lines a log gets about what other nodes make happen here: ten a second about a node, and about all actors
/// together that nodes have ended (L27). For sinks that write a log; of the events themselves none is left out.
#[derive(Debug)]
pub struct EventLimit(LogLimit);

impl Default for EventLimit {
    fn default() -> Self {
        Self(LogLimit::new())
    }
}

impl EventLimit {
    /// Whether a line about `event` may be written: `Some` with the number of lines like it that were left out since
    /// the last.
    pub fn admit(&self, event: &Event) -> Option<u64> {
        match event {
            Event::Crash { from_afar: true, .. } => self.0.admit(""),
            Event::RemoteDown { addr, .. } => self.0.admit(addr),
            _ => Some(0),
        }
    }
}

/// The sink where the host gives none: the `tracing` log.
pub(super) fn log_events() -> EventSink {
    let limit = EventLimit::default();
    Arc::new(move |event| {
        if let Some(left_out) = limit.admit(event) {
            log(event, left_out);
        }
    })
}

fn log(event: &Event, left_out: u64) {
    match event {
        Event::Crash { pid, reason, .. } => {
            tracing::error!(target: "myrmidon.actor", %pid, reason = one_line(reason), left_out,
                "an actor failed and nobody supervises it");
        }
        Event::SwapFailed { pid, version, error } => {
            tracing::error!(target: "myrmidon.actor", %pid, version, error = one_line(error), "a hot swap failed, the old code goes on");
        }
        Event::Restarting { pid, reason } => {
            tracing::warn!(target: "myrmidon.supervisor", %pid, reason = one_line(reason), "restarting");
        }
        Event::GaveUp { supervisor, child, reason } => {
            tracing::error!(target: "myrmidon.supervisor", %supervisor, %child, reason = one_line(reason),
                "children failed too often: the supervisor ends");
        }
        Event::FactoryFailed { error } => {
            tracing::error!(target: "myrmidon.supervisor", error = one_line(error), "a factory failed and is tried again");
        }
        Event::RemoteDown { addr, pid, reason } => {
            tracing::warn!(target: "myrmidon.node", %addr, %pid, reason = one_line(reason), left_out,
                "a monitored remote actor is down");
        }
        Event::Stalled { pid, running_for } => {
            tracing::warn!(target: "myrmidon.actor", %pid, ?running_for, "a handler holds up its thread");
        }
        Event::Recovered { pid, took } => {
            tracing::info!(target: "myrmidon.actor", %pid, ?took, "a handler that held up its thread has returned");
        }
    }
}

/// `text` as a log may show it, in one line of at most 1 024 letters: a reason may be the text of another node, which
/// is to forge no further lines and to say nothing that a terminal obeys.
pub fn one_line(text: &(impl std::fmt::Display + ?Sized)) -> String {
    const LONGEST: usize = 1024;
    text.to_string().chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l27_lines_about_actors_that_nodes_end_are_limited_and_those_of_others_are_not() {
        let pid = Pid::new(1, 1).unwrap();
        let crash = |from_afar| Event::Crash {
            pid,
            reason: ExitReason::Other("x".into()),
            asker_told: false,
            from_afar,
        };
        let down = |addr: &str| Event::RemoteDown { addr: addr.into(), pid, reason: ExitReason::NoProcess };
        let limit = EventLimit::default();
        let written = |event: Event| (0..1000).filter_map(|_| limit.admit(&event)).count();
        let few = 10..20;
        assert!(few.contains(&written(crash(true))) && few.contains(&written(down("one"))));
        assert!(few.contains(&written(down("another"))));
        assert_eq!(written(crash(false)), 1000);
    }

    #[test]
    fn a21_a_reason_is_logged_in_one_line_without_what_a_terminal_obeys_and_cut() {
        let forged = ExitReason::Other("x\nERROR root: forged\u{1b}[31m\r".to_owned());
        let logged = one_line(&forged);
        assert!(
            logged.contains("x ERROR root: forged [31m ") && !logged.contains(char::is_control),
            "{logged:?}"
        );
        assert_eq!(one_line(&"y".repeat(60_000)).len(), 1024);
    }
}
