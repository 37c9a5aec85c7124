//! Steps in the time of a tokio runtime with a paused clock, on which the mesh runs too.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::{Stepper, within_limit};

/// Timers that were set by who is no actor may be seen so late.
const LOOK: Duration = Duration::from_millis(10);
/// Steps before the tasks of the mesh have a turn.
const TURN: usize = 4;

/// A tokio runtime on which the mesh of a simulation runs.
pub(super) struct Mesh {
    io: Handle,
    /// Something is ready.
    ready: Arc<Notify>,
}

impl Mesh {
    pub(super) fn new(io: Handle) -> Self {
        Self { io, ready: Arc::default() }
    }

    /// The time by its clock.
    pub(super) fn now(&self) -> Instant {
        let _context = self.io.enter();
        tokio::time::Instant::now().into_std()
    }

    pub(super) fn io(&self) -> &Handle {
        &self.io
    }

    /// Something is ready.
    pub(super) fn ring(&self) {
        self.ready.notify_one();
    }

    /// Runs what is ready from now on, as long as the simulation lives.
    pub(super) fn drive(&self, stepper: &Arc<Stepper>) {
        self.io.spawn(drive(Arc::downgrade(stepper), self.ready.clone()));
    }
}

async fn drive(stepper: Weak<Stepper>, ready: Arc<Notify>) {
    while let Some(stepper) = stepper.upgrade() {
        let due = loop {
            stepper.clock().advance_to(tokio::time::Instant::now().into_std());
            if (0..TURN).all(|_| within_limit(stepper.step())) {
                tokio::task::yield_now().await;
            } else {
                break stepper.next_due();
            }
        };
        drop(stepper);
        let soon = tokio::time::Instant::now() + LOOK;
        let due = due.map_or(soon, |due| soon.min(due.into()));
        tokio::select! {
            biased;
            () = ready.notified() => {}
            () = tokio::time::sleep_until(due) => {}
        }
    }
}
