//! Dead letters: messages that nobody will handle, counted by reason and shown to who listens.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::{discard, shielded};
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
#[must_use = "dropping it ends the watch"]
pub struct DeadLetterWatch {
    number: u64,
    letters: Weak<DeadLetters>,
}

type Sink = Arc<dyn Fn(&DeadLetter) + Send + Sync>;

/// The dead letters of one runtime.
#[derive(Default)]
pub(crate) struct DeadLetters {
    counts: [AtomicU64; REASONS],
    /// Whether there are sinks: without any a dead letter costs its count.
    watched: AtomicBool,
    sinks: RwLock<Vec<(u64, Sink)>>,
    last: AtomicU64,
}

const REASONS: usize = DeadLetterReason::Unsendable as usize + 1;

thread_local! {
    /// A sink runs on this thread. What it loses itself is counted and not shown, or it might never end.
    static SHOWING: Cell<bool> = const { Cell::new(false) };
}

impl DeadLetters {
    /// Shows every later dead letter to `sink`.
    pub(crate) fn watch(self: &Arc<Self>, sink: Sink) -> DeadLetterWatch {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut sinks = self.sinks.write().unwrap_or_else(PoisonError::into_inner);
        sinks.push((number, sink));
        self.watched.store(true, Ordering::Release);
        DeadLetterWatch { number, letters: Arc::downgrade(self) }
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
        if self.watched.load(Ordering::Acquire) {
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
            // A copy: sinks run under no lock, and may come and go meanwhile.
            let sinks = self.sinks.read().unwrap_or_else(PoisonError::into_inner).clone();
            for (_, sink) in &sinks {
                shielded("a sink for dead letters", || sink(&letter));
            }
            discard(sinks);
            SHOWING.set(false);
        }
        discard(letter);
    }

    fn unwatch(&self, number: u64) {
        let mut sinks = self.sinks.write().unwrap_or_else(PoisonError::into_inner);
        let place = sinks.iter().position(|(known, _)| *known == number);
        let gone = place.map(|place| sinks.remove(place));
        self.watched.store(!sinks.is_empty(), Ordering::Release);
        drop(sinks);
        discard(gone);
    }
}

impl Drop for DeadLetterWatch {
    fn drop(&mut self) {
        if let Some(letters) = self.letters.upgrade() {
            letters.unwatch(self.number);
        }
    }
}

impl std::fmt::Debug for DeadLetterWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeadLetterWatch({})", self.number)
    }
}
