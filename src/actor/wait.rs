//! Waiting for a future on a thread.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::System;

thread_local! {
    /// Wakes this thread. Made once.
    static UNPARK: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread; `None` when the time is up. In a simulation, whose actors run on this thread,
/// they run meanwhile; in a handler on a worker, others take over
/// from it.
pub(super) fn wait<F: Future>(system: &System, future: F, within: Duration) -> Option<F::Output> {
    let waker = thread_waker();
    let (mut future, mut cx) = (pin!(future), Context::from_waker(&waker));
    let mut output = None;
    let mut done = || {
        if output.is_none()
            && let Poll::Ready(ready) = future.as_mut().poll(&mut cx)
        {
            output = Some(ready);
        }
        output.is_some()
    };
    let simulated = system.drive(system.clock().now().checked_add(within), &mut done).is_some();
    if !simulated && !done() {
        system.block_in_place(|| park_until(Instant::now().checked_add(within), done));
    }
    output
}

/// Wakes this thread.
fn thread_waker() -> Waker {
    // One that is ending has lost its own.
    UNPARK.try_with(Waker::clone).unwrap_or_else(|_| Waker::from(Arc::new(Unpark(thread::current()))))
}

/// Parks until `done`, which is asked after each wake, or the time is up.
fn park_until(deadline: Option<Instant>, mut done: impl FnMut() -> bool) {
    while !done() {
        match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return,
            Some(left) => thread::park_timeout(left),
            None => thread::park(),
        }
    }
}
