//! Dead letters: messages that nobody will handle, counted by reason and shown to who listens.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::discard;
use super::sinks::{Sinks, Subscription};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::pid::Pid;

/// A message that nobody will handle.
#[derive(Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// For whom it was.
    pub target: Pid,
    /// Why it was not handled.
    pub reason: DeadLetterReason,
    /// The message; `None` where the attempt to read it consumed it.
    pub message: Option<Payload>,
}

/// Why a message was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// Its actor had ended when it arrived, and its sender was not there to be told: it came from another
    /// node, from a timer, by [`Overflow::Redirect`](crate::mailbox::Overflow::Redirect), or raced with
    /// the end.
    NoProcess,
    /// It waited in the mailbox when its actor ended.
    Ended,
    /// It found the mailbox full, and the policy or the way it came let nobody be told.
    Full,
    /// A newer message took its place in a full mailbox.
    Displaced,
    /// The actor could not read it.
    Unreadable,
    /// It was for an actor of another node, and could not be sent there.
    Unsendable,
}

/// Shows dead letters to its sink until it is dropped.
pub type DeadLetterWatch = Subscription<DeadLetter>;

/// The dead letters of one runtime.
pub(crate) struct DeadLetters {
    counts: [AtomicU64; REASONS],
    sinks: Arc<Sinks<DeadLetter>>,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self { counts: Default::default(), sinks: Sinks::new("a sink for dead letters") }
    }
}

const REASONS: usize = DeadLetterReason::Unsendable as usize + 1;

thread_local! {
    /// A sink runs on this thread. What it loses itself is counted and not shown, or it might never end.
    static SHOWING: Cell<bool> = const { Cell::new(false) };
}

impl DeadLetters {
    /// Shows every later dead letter to `sink`.
    pub(crate) fn watch(&self, sink: Arc<dyn Fn(&DeadLetter) + Send + Sync>) -> DeadLetterWatch {
        self.sinks.subscribe(sink)
    }

    pub(crate) fn count(&self, reason: DeadLetterReason) -> u64 {
        self.counts[reason as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Takes in what will not be handled.
    pub(crate) fn add(&self, target: Pid, reason: DeadLetterReason, message: Option<Payload>) {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
        if self.sinks.is_watched() {
            self.show(DeadLetter { target, reason, message });
        } else {
            discard(message);
        }
    }

    /// Takes in a message whose sender cannot be told.
    pub(crate) fn add_unsent(&self, error: SendError<Payload>) {
        let (pid, reason) = match &error {
            SendError::NoProcess { pid, .. } => (*pid, DeadLetterReason::NoProcess),
            SendError::NotBytes { pid, .. } => (*pid, DeadLetterReason::Unreadable),
            SendError::Full { pid, .. } => (*pid, DeadLetterReason::Full),
            SendError::NoConnection { pid, .. } | SendError::TooLarge { pid, .. } => {
                (*pid, DeadLetterReason::Unsendable)
            }
        };
        self.add(pid, reason, Some(error.into_message()));
    }

    #[cold]
    fn show(&self, letter: DeadLetter) {
        if !SHOWING.replace(true) {
            self.sinks.show(&letter);
            SHOWING.set(false);
        }
        discard(letter);
    }
}
