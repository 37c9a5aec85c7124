//! Models of the one-shot: send, drop, close and poll against each other. What is sent carries a
//! probe, so a value that is lost, or dropped twice, is seen.
#![allow(clippy::unwrap_used, reason = "tests, whose threads loom switches itself")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread::{self, Thread};

use super::{Receiver, one_shot};
use crate::mailbox::Value;

/// Wakes a thread, and notes if that is by itself.
struct Unpark(Thread, AtomicBool);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        if thread::current().id() == self.0.id() {
            self.1.store(true, Ordering::Relaxed);
        } else {
            self.0.unpark();
        }
    }
}

/// Waits on this thread.
fn wait(receiver: &mut Receiver) -> Option<Value> {
    let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
    let waker = Waker::from(unpark.clone());
    loop {
        match receiver.poll(&Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            // The sender is at it.
            Poll::Pending if unpark.1.swap(false, Ordering::Relaxed) => thread::yield_now(),
            Poll::Pending => thread::park(),
        }
    }
}

fn probed(outcome: Option<Value>) -> Option<Arc<u32>> {
    outcome.map(|value| value.downcast::<Arc<u32>>().unwrap())
}

#[test]
fn who_waits_gets_what_is_sent() {
    loom::model(|| {
        let (sender, mut receiver) = one_shot();
        let probe = Arc::new(7_u32);
        let sent = probe.clone();
        let sends = thread::spawn(move || assert!(sender.send(Value::new(sent)).is_ok()));
        assert_eq!(probed(wait(&mut receiver)).as_deref(), Some(&7));
        sends.join().unwrap();
        assert_eq!(Arc::strong_count(&probe), 1);
    });
}

#[test]
fn whoever_polled_last_is_woken() {
    loom::model(|| {
        let (sender, mut receiver) = one_shot();
        let sends = thread::spawn(move || sender.send(Value::new(Arc::new(7_u32))).is_ok());
        let early = receiver.poll(&Context::from_waker(Waker::noop()));
        let outcome = match early {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => wait(&mut receiver),
        };
        assert!(probed(outcome).is_some() && sends.join().unwrap());
    });
}

#[test]
fn who_waits_hears_that_the_sender_is_gone() {
    loom::model(|| {
        let (sender, mut receiver) = one_shot();
        let drops = thread::spawn(move || drop(sender));
        assert!(wait(&mut receiver).is_none());
        drops.join().unwrap();
    });
}

/// Whether it was polled before makes a difference.
fn leaves(polls: bool, closes: bool) {
    loom::model(move || {
        let (sender, mut receiver) = one_shot();
        let probe = Arc::new(7_u32);
        let sent = probe.clone();
        let sends = thread::spawn(move || {
            let closed = sender.is_closed();
            let sent = sender.send(Value::new(sent)).is_ok();
            assert!(!(closed && sent));
            sent
        });
        let polled = polls && receiver.poll(&Context::from_waker(Waker::noop())).is_ready();
        let got = if closes {
            receiver.close().is_some()
        } else {
            drop(receiver);
            false
        };
        let sent = sends.join().unwrap();
        // What was sent came out once, and what came back was never out.
        assert!(!closes || sent == (polled || got));
        assert!(!polled || sent);
        assert_eq!(Arc::strong_count(&probe), 1);
    });
}

#[test]
fn a_value_is_taken_or_comes_back_when_the_receiver_closes() {
    leaves(false, true);
    leaves(true, true);
}

#[test]
fn a_value_is_dropped_or_comes_back_when_the_receiver_is_dropped() {
    leaves(false, false);
    leaves(true, false);
}
