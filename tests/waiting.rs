//! Actors whose handlers wait: what they cost, what reaches them meanwhile, and who may wake them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use common::{eventually, next, runtime, watch};
use myrmidon::actor::{AsyncActor, Behaviour, Context, ExitReason, Flow, SpawnOptions};
use myrmidon::mailbox::Payload;
use myrmidon::{Pid, Runtime};

/// Tells when it is dropped.
struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Waits for ever, with a guard on its stack.
struct Forever {
    begun: SyncSender<()>,
    dropped: Arc<AtomicBool>,
}

impl AsyncActor for Forever {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
        let _guard = Guard(self.dropped.clone());
        self.begun.send(()).unwrap();
        std::future::pending().await
    }
}

#[test]
fn s41_a_handler_that_waits_is_cancelled_before_anybody_hears_of_the_end() {
    let rt = runtime();
    for kill in [true, false] {
        let (begun, begins) = sync_channel(1);
        let dropped = Arc::new(AtomicBool::new(false));
        let actor = Forever { begun, dropped: dropped.clone() };
        let actor = rt.spawn_async(actor, SpawnOptions::default());
        let pid = actor.pid();
        let (tell, told) = sync_channel(1);
        let seen = dropped.clone();
        rt.on_exit(pid, move |reason| tell.send((reason.clone(), seen.load(Ordering::SeqCst))).unwrap());
        actor.send(Bytes::new()).unwrap();
        next(&begins);
        assert!(!dropped.load(Ordering::SeqCst));
        let expected = if kill { ExitReason::Killed } else { ExitReason::Shutdown };
        if kill {
            rt.kill(pid);
        } else {
            rt.exit(pid, ExitReason::Shutdown);
        }
        assert_eq!(next(&told), (expected, true));
    }
}

/// Wakes itself for ever.
struct Restless(Arc<AtomicU32>);

impl AsyncActor for Restless {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
        poll_fn(|cx| {
            self.0.fetch_add(1, Ordering::SeqCst);
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }
}

#[test]
fn futures_that_wake_themselves_leave_the_only_worker_to_others() {
    let rt = Runtime::builder().workers(1).start().unwrap();
    let polls = [0; 2].map(|_| Arc::new(AtomicU32::new(0)));
    let pids = polls.each_ref().map(|polls| {
        let actor = rt.spawn_async(Restless(polls.clone()), SpawnOptions::default());
        actor.send(Bytes::new()).unwrap();
        actor.pid()
    });
    eventually("both are polled", || polls.iter().all(|polls| polls.load(Ordering::SeqCst) > 100));
    let (tell, told) = sync_channel(1);
    let other = rt.spawn_fn(move |_, _| tell.send(()).unwrap());
    for _ in 0..100 {
        rt.send(other, "x").unwrap();
        next(&told);
    }
    for pid in pids {
        let ended = watch(&rt, pid);
        rt.kill(pid);
        assert_eq!(next(&ended), ExitReason::Killed);
    }
}

/// Waits without a future of its own until it has been allowed to go on.
struct Gate {
    tell: SyncSender<Waker>,
    open: Arc<AtomicBool>,
    passed: SyncSender<()>,
}

impl Behaviour for Gate {
    fn handle(&mut self, _: Payload, cx: &mut Context<'_>) -> Flow {
        self.tell.send(cx.waker()).unwrap();
        self.resume(cx)
    }

    fn resume(&mut self, _: &mut Context<'_>) -> Flow {
        if !self.open.swap(false, Ordering::SeqCst) {
            return Flow::Waiting;
        }
        self.passed.send(()).unwrap();
        Flow::Continue
    }
}

fn gate() -> (Gate, Receiver<Waker>, Arc<AtomicBool>, Receiver<()>) {
    let ((tell, told), (passed, passes)) = (sync_channel(10), sync_channel(10));
    let open = Arc::new(AtomicBool::new(false));
    (Gate { tell, open: open.clone(), passed }, told, open, passes)
}

#[test]
fn a_behaviour_goes_on_when_its_waker_is_woken_and_takes_no_message_before() {
    let rt = runtime();
    let (gate, wakers, open, passes) = gate();
    let pid = rt.spawn_behaviour(Box::new(gate), SpawnOptions::default());
    for _ in 0..2 {
        rt.send(pid, "x").unwrap();
    }
    for _ in 0..2 {
        let waker = next(&wakers);
        // Nothing to do yet: a wake without a cause.
        waker.wake_by_ref();
        assert!(wakers.try_recv().is_err(), "one message after another");
        open.store(true, Ordering::SeqCst);
        waker.wake();
        next(&passes);
    }
    assert!(rt.is_alive(pid));
}

#[test]
fn a_waker_outlives_its_actor_and_its_runtime_and_does_them_no_harm() {
    let rt = runtime();
    let (gate, wakers, _, _) = gate();
    let pid = rt.spawn_behaviour(Box::new(gate), SpawnOptions::default());
    rt.send(pid, "x").unwrap();
    let stale = next(&wakers);
    let ended = watch(&rt, pid);
    rt.kill(pid);
    next(&ended);
    // The slots are taken again, also the one of the dead.
    let handled = Arc::new(Mutex::new(0));
    let spawn = || {
        let handled = handled.clone();
        rt.spawn_fn(move |_, _| *handled.lock().unwrap() += 1)
    };
    let mut actors: Vec<Pid> = (0..2000).map(|_| spawn()).collect();
    // It is free a moment after its end was told.
    let deadline = Instant::now() + common::DEADLINE;
    while !actors.iter().any(|actor| actor.index() == pid.index()) {
        assert!(Instant::now() < deadline, "the slot is taken again");
        actors.push(spawn());
    }
    for actor in &actors {
        stale.wake_by_ref();
        rt.send(*actor, "x").unwrap();
        let copy = stale.clone();
        copy.wake_by_ref();
        drop(copy);
    }
    eventually("each handled its message once", || *handled.lock().unwrap() == actors.len());
    rt.shutdown(common::DEADLINE);
    drop(rt);
    stale.wake_by_ref();
    let next_rt = runtime();
    stale.wake();
    let (pid, told) = common::echo(&next_rt, "");
    next_rt.send(pid, "x").unwrap();
    assert_eq!(next(&told), "x");
}

/// Adds up, and waits with every second message.
struct Sum(u64, SyncSender<u64>);

impl AsyncActor for Sum {
    type Msg = u64;

    async fn handle(&mut self, number: u64, _: Pid) -> Flow {
        if number % 2 == 1 {
            tokio::task::yield_now().await;
        }
        self.0 += number;
        self.1.send(self.0).unwrap();
        Flow::Continue
    }
}

#[test]
fn g2_messages_with_which_a_handler_waits_and_others_keep_their_order() {
    let rt = runtime();
    let (tell, told) = sync_channel(10_000);
    let sum = rt.spawn_async(Sum(0, tell), SpawnOptions::default());
    (0..10_000).for_each(|n| sum.send(n).unwrap());
    let mut expected = 0;
    for n in 0..10_000 {
        expected += n;
        assert_eq!(next(&told), expected);
    }
}
