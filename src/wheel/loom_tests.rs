//! Models of the thread that waits: it misses no deadline that is set while it goes to sleep. Nothing here
//! may depend on a time running out: loom's condition variables know none.
#![allow(clippy::unwrap_used, reason = "tests, whose threads loom switches itself")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};

use loom::thread;

use super::Wheels;
use super::waiter::Waiter;
use crate::clock::Clock;

/// Far beyond any model.
const FAR: u64 = 1 << 60;

struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits and fires until so many were woken. One that sleeps for ever is a deadlock, which loom reports.
fn fire(wheels: &Wheels, woken: &Count, count: u32) {
    while woken.0.load(Ordering::Relaxed) < count {
        assert!(wheels.waiter.wait(wheels));
        wheels.fire_due(wheels.elapsed());
    }
}

fn model(far: bool, deadlines: u32) {
    loom::model(move || {
        let wheels = Wheels::with(2, Waiter::running(), Clock::real());
        let woken = Arc::new(Count(AtomicU32::new(0)));
        let waker = Waker::from(woken.clone());
        if far {
            wheels.wake_at(FAR, 0, Waker::noop()).unwrap();
        }
        let setter = wheels.clone();
        let sets = thread::spawn(move || {
            for near in 0..deadlines {
                setter.wake_at(0, near, &waker).unwrap();
            }
        });
        fire(&wheels, &woken, deadlines);
        sets.join().unwrap();
    });
}

#[test]
fn a_thread_that_sleeps_without_a_limit_is_called() {
    model(false, 2);
}

#[test]
fn a_thread_that_sleeps_too_long_is_called() {
    model(true, 1);
}

#[test]
fn a_stop_ends_the_wait() {
    loom::model(|| {
        let wheels = Wheels::with(1, Waiter::running(), Clock::real());
        let closed = wheels.clone();
        let closes = thread::spawn(move || closed.close());
        while wheels.waiter.wait(&wheels) {
            wheels.fire_due(wheels.elapsed());
        }
        closes.join().unwrap();
    });
}
