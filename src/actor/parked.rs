//! A handler that waits: one future per actor, woken through the actor's own inbox.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};

use super::{Flow, System};
use crate::pid::Pid;
use crate::sync::{AtomicBool, Ordering};

/// The rest of a message's handling. It resolves to what the actor does next.
pub type ParkedFuture = Pin<Box<dyn Future<Output = Flow> + Send>>;

/// A parked future and the waker that schedules its actor. Made when an actor first parks and used
/// again each time it does.
pub(super) struct Parked {
    /// `None` while the actor is not parked.
    pub(super) future: Option<ParkedFuture>,
    pub(super) waker: Waker,
    woken: Arc<ActorWaker>,
}

/// Wakes an actor by an urgent signal, at most one at a time.
struct ActorWaker {
    system: Weak<System>,
    pid: Pid,
    /// Set while a wake signal is on its way or the future is due to be polled.
    pending: AtomicBool,
}

impl Wake for ActorWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(system) = self.system.upgrade() {
            system.wake(self.pid);
        }
    }
}

impl Parked {
    pub(super) fn new(system: &Arc<System>, pid: Pid) -> Self {
        let pending = AtomicBool::new(false);
        let woken = Arc::new(ActorWaker { system: Arc::downgrade(system), pid, pending });
        Self { future: None, waker: Waker::from(woken.clone()), woken }
    }

    /// Parks a fresh future, which is due to be polled. A wake that was meant for an earlier one at
    /// most polls it once too often.
    pub(super) fn park(&mut self, future: ParkedFuture) {
        self.future = Some(future);
        self.woken.pending.store(true, Ordering::Release);
    }

    /// Whether a wake came since the last call. Clears it, so a wake during the poll counts again.
    pub(super) fn take_due(&self) -> bool {
        self.woken.pending.swap(false, Ordering::AcqRel)
    }
}
