//! What the runtime reports to the program that hosts it.

use std::sync::Arc;
use std::time::Duration;

use crate::actor::{ExitReason, shielded};
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

/// The sink where the host gives none: the `tracing` log.
pub(super) fn log_events() -> EventSink {
    Arc::new(|event| match event {
        Event::Crash { pid, reason, .. } => {
            tracing::error!(target: "myrmidon.actor", %pid, reason = one_line(reason), "an actor failed and nobody supervises it");
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
            tracing::warn!(target: "myrmidon.node", %addr, %pid, reason = one_line(reason), "a monitored remote actor is down");
        }
        Event::Stalled { pid, running_for } => {
            tracing::warn!(target: "myrmidon.actor", %pid, ?running_for, "a handler holds up its thread");
        }
        Event::Recovered { pid, took } => {
            tracing::info!(target: "myrmidon.actor", %pid, ?took, "a handler that held up its thread has returned");
        }
    })
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
