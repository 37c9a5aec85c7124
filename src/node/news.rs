//! Who is told how things stand with other nodes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::census::Census;
use crate::actor::{NodeEvent, Sinks, Subscription};

/// Shows node events to its sink until it is dropped.
pub type NodeWatch = Subscription<NodeEvent>;

/// The census of a node, and those who follow it.
pub(super) struct News {
    desk: Mutex<Desk>,
    sinks: Arc<Sinks<NodeEvent>>,
}

#[derive(Default)]
struct Desk {
    census: Census,
    /// Events that nobody was shown yet.
    waiting: VecDeque<NodeEvent>,
    /// A thread shows them; it goes on until none is left.
    showing: bool,
}

impl News {
    pub(super) fn new() -> Self {
        Self { desk: Mutex::default(), sinks: Sinks::new("a sink for node events") }
    }

    pub(super) fn subscribe(&self, sink: Arc<dyn Fn(&NodeEvent) + Send + Sync>) -> NodeWatch {
        self.sinks.subscribe(sink)
    }

    /// Whether anybody wants to know.
    pub(super) fn is_followed(&self) -> bool {
        self.sinks.is_watched()
    }

    /// Reads the census.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Census) -> T) -> T {
        look(&self.desk().census)
    }

    /// Changes the census and shows what follows, in order to everybody and under no lock. With several
    /// threads at it one does the showing for all.
    pub(super) fn change<E: IntoIterator<Item = NodeEvent>>(&self, change: impl FnOnce(&mut Census) -> E) {
        {
            let mut desk = self.desk();
            let events = change(&mut desk.census);
            if !self.is_followed() {
                return;
            }
            desk.waiting.extend(events);
            if desk.showing {
                return;
            }
            desk.showing = true;
        }
        while let Some(event) = self.next() {
            self.sinks.show(&event);
        }
    }

    fn next(&self) -> Option<NodeEvent> {
        let mut desk = self.desk();
        let next = desk.waiting.pop_front();
        desk.showing = next.is_some();
        next
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
