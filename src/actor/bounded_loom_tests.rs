//! Models of bounded mailboxes, through real turns of real actors: whoever wakes an actor runs it on its
//! own thread.
#![allow(clippy::unwrap_used, reason = "tests, whose threads loom switches itself")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};

use loom::thread::{self, Thread};

use super::loom_tests::{spawn_recorder_with, system, texts};
use super::{ExitReason, SpawnOptions};
use crate::error::SendError;
use crate::mailbox::{Mailbox, Overflow, Payload};

fn bounded(overflow: Overflow) -> SpawnOptions {
    SpawnOptions { mailbox: Mailbox::bounded(1).overflow(overflow), ..SpawnOptions::default() }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Loom fails where the thread is never woken.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut future, mut cx) = (pin!(future), TaskContext::from_waker(&waker));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        thread::park();
    }
}

#[test]
fn a_message_pushed_while_the_actor_goes_idle_wakes_it() {
    loom::model(|| {
        let system = system();
        let (pid, record) = spawn_recorder_with(system, bounded(Overflow::Reject));
        let sender = thread::spawn(move || system.send(pid, Payload::from("a")).is_ok());
        let accepted = usize::from(system.send(pid, Payload::from("b")).is_ok());
        let accepted = accepted + usize::from(sender.join().unwrap());
        assert!(accepted > 0);
        assert_eq!(texts(&record).len(), accepted);
        assert_eq!(system.mailbox_size(pid), Some(0));
    });
}

#[test]
fn a_signal_keeps_its_place_among_messages_that_displace_each_other() {
    loom::model(|| {
        let system = system();
        let (pid, record) = spawn_recorder_with(system, bounded(Overflow::DropOld));
        let other = thread::spawn(move || system.send(pid, Payload::from("other")).is_ok());
        system.send(pid, Payload::from("before")).unwrap();
        assert!(system.signal(pid, super::Signal::Stop(ExitReason::Normal)));
        let after = system.send(pid, Payload::from("after")).is_ok();
        let other = other.join().unwrap();

        let handled = texts(&record);
        assert!(!handled.contains(&r#"Bytes(b"after")"#.to_owned()), "it came behind the stop");
        let sent = 1 + usize::from(after) + usize::from(other);
        assert_eq!(handled.len() + system.letters().total() as usize, sent);
        assert!(!system.is_alive(pid));
    });
}

#[test]
fn a_sender_that_waits_for_room_gets_it_when_a_message_is_taken() {
    loom::model(|| {
        let system = system();
        let (pid, record) = spawn_recorder_with(system, bounded(Overflow::Block));
        let senders = [1, 2].map(|_| {
            thread::spawn(move || block_on(system.send_async(pid, Payload::from("waited"), None)).unwrap())
        });
        block_on(system.send_async(pid, Payload::from("waited"), None)).unwrap();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(texts(&record).len(), 3);
        // The room of each has come back.
        system.send(pid, Payload::from("more")).unwrap();
        assert_eq!((texts(&record).len(), system.mailbox_size(pid)), (4, Some(0)));
    });
}

#[test]
fn a_sender_that_waits_for_room_hears_of_the_end() {
    loom::model(|| {
        let system = system();
        let (pid, record) = spawn_recorder_with(system, bounded(Overflow::Block));
        let sender =
            thread::spawn(move || match block_on(system.send_async(pid, Payload::from("waited"), None)) {
                Ok(()) => 0,
                Err(SendError::NoProcess { .. }) => 1,
                Err(error) => panic!("{error}"),
            });
        let killer = thread::spawn(move || system.exit(pid, None, ExitReason::Kill));
        let refused = u64::from(system.send(pid, Payload::from("sent")).is_err());
        let refused = refused + sender.join().unwrap();
        assert!(killer.join().unwrap());
        assert_eq!(texts(&record).len() as u64 + system.letters().total() + refused, 2);
    });
}

#[test]
fn a_sender_that_gives_up_passes_its_turn_on() {
    loom::model(|| {
        let system = system();
        let (pid, record) = spawn_recorder_with(system, bounded(Overflow::Block));
        let first =
            thread::spawn(move || block_on(system.send_async(pid, Payload::from("first"), None)).unwrap());
        let fickle = thread::spawn(move || {
            let mut send = Box::pin(system.send_async(pid, Payload::from("given up"), None));
            let mut cx = TaskContext::from_waker(Waker::noop());
            usize::from(matches!(send.as_mut().poll(&mut cx), Poll::Ready(Ok(()))))
        });
        block_on(system.send_async(pid, Payload::from("last"), None)).unwrap();
        first.join().unwrap();
        let handled = 2 + fickle.join().unwrap();
        assert_eq!((texts(&record).len(), system.mailbox_size(pid)), (handled, Some(0)));
        assert_eq!(system.letters().total(), 0);
    });
}

#[test]
fn what_is_delivered_beyond_the_bound_is_handled_and_leaves_its_room_to_who_waits() {
    loom::model(|| {
        let system = system();
        let (pid, record) = spawn_recorder_with(system, bounded(Overflow::Block));
        let peer = thread::spawn(move || {
            for _ in 0..2 {
                system.deliver(pid, Payload::from("far")).unwrap();
            }
        });
        block_on(system.send_async(pid, Payload::from("waited"), None)).unwrap();
        peer.join().unwrap();
        assert_eq!((texts(&record).len(), system.mailbox_size(pid)), (3, Some(0)));
        // There is room for one again, and for no more.
        assert!(!system.is_overfull(pid));
        system.send(pid, Payload::from("more")).unwrap();
        assert_eq!(texts(&record).len(), 4);
    });
}
