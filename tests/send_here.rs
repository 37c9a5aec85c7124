//! Sending with the receiver's turn on the sender's own thread.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, ThreadId};
use std::time::Duration;

use myrmidon::Runtime;
use myrmidon::actor::{Behaviour, Context, Flow, SpawnOptions};
use myrmidon::mailbox::Payload;
use myrmidon::sim;

/// Says on which thread it handles what.
struct Teller {
    anywhere: bool,
    told: SyncSender<(Vec<u8>, ThreadId)>,
}

impl Behaviour for Teller {
    fn starts(&self) -> bool {
        false
    }

    fn runs_anywhere(&self) -> bool {
        self.anywhere
    }

    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        let bytes = message.into_bytes().expect("bytes were sent").to_vec();
        self.told.send((bytes, thread::current().id())).expect("the test waits");
        Flow::Continue
    }
}

#[test]
fn who_runs_anywhere_has_its_turn_before_the_send_returns() {
    let rt = Runtime::builder().start().unwrap();
    let (told, tells) = sync_channel(256);
    let pid = rt.spawn_behaviour(Box::new(Teller { anywhere: true, told }), SpawnOptions::default());
    for number in 0..100_u8 {
        rt.send_here(pid, vec![number]).unwrap();
        let (message, thread) = tells.try_recv().unwrap();
        assert_eq!((message, thread), (vec![number], thread::current().id()));
    }
    rt.stop(pid);
    rt.join(pid, Some(Duration::from_secs(20))).unwrap();
    assert!(rt.send_here(pid, vec![0]).is_err());
}

#[test]
fn who_does_not_is_run_by_a_worker() {
    let rt = Runtime::builder().start().unwrap();
    let (told, tells) = sync_channel(256);
    let pid = rt.spawn_behaviour(Box::new(Teller { anywhere: false, told }), SpawnOptions::default());
    rt.send_here(pid, vec![1]).unwrap();
    let (message, thread) = tells.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(message, vec![1]);
    assert_ne!(thread, thread::current().id());
}

#[test]
fn g1_messages_that_are_sent_both_ways_keep_their_order() {
    let rt = Runtime::builder().start().unwrap();
    let (told, tells) = sync_channel(256);
    let pid = rt.spawn_behaviour(Box::new(Teller { anywhere: true, told }), SpawnOptions::default());
    for number in 0..200_u8 {
        if number % 3 == 0 { rt.send(pid, vec![number]) } else { rt.send_here(pid, vec![number]) }.unwrap();
    }
    let order = (0..200).map(|_| tells.recv_timeout(Duration::from_secs(20)).unwrap().0[0]);
    assert!(order.eq(0..200));
}

/// Says whether it may use the timers and sockets of the runtime.
struct Timed(SyncSender<bool>);

impl Behaviour for Timed {
    fn starts(&self) -> bool {
        false
    }

    fn runs_anywhere(&self) -> bool {
        true
    }

    fn handle(&mut self, _: Payload, _: &mut Context<'_>) -> Flow {
        self.0.send(tokio::runtime::Handle::try_current().is_ok()).expect("the test waits");
        Flow::Continue
    }
}

#[test]
fn a_turn_on_the_senders_thread_may_use_timers() {
    let rt = Runtime::builder().start().unwrap();
    let (told, tells) = sync_channel(1);
    let pid = rt.spawn_behaviour(Box::new(Timed(told)), SpawnOptions::default());
    rt.send_here(pid, "x").unwrap();
    assert!(tells.try_recv().unwrap());
}

#[test]
fn a_simulation_chooses_when_the_turn_is() {
    sim::check(0..3, |sim| {
        let (told, tells) = sync_channel(256);
        let behaviour = Box::new(Teller { anywhere: true, told });
        let pid = sim.runtime().spawn_behaviour(behaviour, SpawnOptions::default());
        sim.runtime().send_here(pid, vec![1]).unwrap();
        assert!(tells.try_recv().is_err());
        sim.run();
        assert_eq!(tells.try_recv().unwrap().0, [1]);
    });
}
