//! Who is shown things as they happen: any number of callbacks, each until its subscription is dropped.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::{discard, shielded};

type Sink<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// Shows events to its sink until it is dropped. A call that runs at that moment is not waited for.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription<T: 'static> {
    number: u64,
    sinks: Weak<Sinks<T>>,
}

/// The sinks for one kind of event.
pub(crate) struct Sinks<T> {
    /// What the log calls one of them.
    what: &'static str,
    /// Whether there are any: without, an event costs a look here.
    watched: AtomicBool,
    sinks: RwLock<Vec<(u64, Sink<T>)>>,
    last: AtomicU64,
}

impl<T: 'static> Sinks<T> {
    pub(crate) fn new(what: &'static str) -> Arc<Self> {
        let (watched, last) = (AtomicBool::new(false), AtomicU64::new(0));
        Arc::new(Self { what, watched, sinks: RwLock::default(), last })
    }

    /// Shows every later event to `sink`.
    pub(crate) fn subscribe(self: &Arc<Self>, sink: Sink<T>) -> Subscription<T> {
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut sinks = self.sinks.write().unwrap_or_else(PoisonError::into_inner);
        sinks.push((number, sink));
        self.watched.store(true, Ordering::Release);
        Subscription { number, sinks: Arc::downgrade(self) }
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// Calls every sink, under no lock; they may come and go meanwhile. A panic in one stays there.
    pub(crate) fn show(&self, event: &T) {
        let sinks = self.sinks.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (_, sink) in &sinks {
            shielded(self.what, || sink(event));
        }
        discard(sinks);
    }

    fn unsubscribe(&self, number: u64) {
        let mut sinks = self.sinks.write().unwrap_or_else(PoisonError::into_inner);
        let place = sinks.iter().position(|(known, _)| *known == number);
        let gone = place.map(|place| sinks.remove(place));
        self.watched.store(!sinks.is_empty(), Ordering::Release);
        drop(sinks);
        discard(gone);
    }
}

impl<T: 'static> Drop for Subscription<T> {
    fn drop(&mut self) {
        if let Some(sinks) = self.sinks.upgrade() {
            sinks.unsubscribe(self.number);
        }
    }
}

impl<T: 'static> std::fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subscription({})", self.number)
    }
}
