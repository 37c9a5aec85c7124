//! Bounded mailboxes: what they hold, what happens to one message more, and who waits for room (L12).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, held_with, listen, next, runtime, start, teller, watch};
use myrmidon::actor::{
    Actor, AsyncActor, Behaviour, Context, DeadLetterReason, ExitReason, Flow, SpawnOptions, SystemMessage,
    bytes_fn,
};
use myrmidon::config::{NodeConfig, RuntimeConfig};
use myrmidon::error::SendError;
use myrmidon::mailbox::{Mailbox, Overflow, Payload};
use myrmidon::node::RemoteSendError;
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};

fn bounded(capacity: usize, overflow: Overflow) -> SpawnOptions {
    let mailbox = Mailbox::bounded(capacity).overflow(overflow);
    SpawnOptions { mailbox, ..SpawnOptions::default() }
}

/// An actor that is held at its first message, with room for two more.
fn held_with_two(rt: &Runtime, overflow: Overflow) -> (Pid, SyncSender<()>, Receiver<String>) {
    let (pid, go, told) = held_with(rt, "", bounded(2, overflow));
    for text in ["1", "2"] {
        rt.send(pid, text).unwrap();
    }
    assert_eq!((rt.mailbox_size(pid), rt.mailbox_capacity(pid)), (Some(2), Some(2)));
    (pid, go, told)
}

/// What the actor handles once it goes on, until it is stopped.
fn handled(rt: &Runtime, pid: Pid, go: &SyncSender<()>, told: &Receiver<String>) -> Vec<String> {
    let ended = watch(rt, pid);
    assert!(rt.stop(pid));
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Normal);
    told.try_iter().collect()
}

#[test]
fn a_full_mailbox_rejects_and_hands_the_message_back() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::Reject);
    let error = rt.send(pid, "3").unwrap_err();
    assert!(matches!(error, SendError::Full { pid: full, .. } if full == pid));
    assert_eq!(error.into_message().into_bytes().unwrap(), "3");
    assert_eq!(rt.mailbox_size(pid), Some(2));
    assert_eq!(handled(&rt, pid, &go, &told), ["first", "1", "2"]);
    assert_eq!(rt.dead_letters(), 0);
    assert!(matches!(rt.send(pid, "late"), Err(SendError::NoProcess { .. })));
    assert_eq!(rt.mailbox_capacity(pid), None);
}

#[test]
fn a_full_mailbox_drops_the_new_message() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::DropNew);
    rt.send(pid, "3").unwrap();
    assert_eq!(rt.mailbox_size(pid), Some(2));
    assert_eq!(handled(&rt, pid, &go, &told), ["first", "1", "2"]);
    assert_eq!((rt.dead_letters(), rt.dead_letters_by(DeadLetterReason::Full)), (1, 1));
}

#[test]
fn a_full_mailbox_drops_the_oldest_message() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::DropOld);
    for text in ["3", "4", "5"] {
        rt.send(pid, text).unwrap();
        assert_eq!(rt.mailbox_size(pid), Some(2));
    }
    assert_eq!(handled(&rt, pid, &go, &told), ["first", "4", "5"]);
    assert_eq!((rt.dead_letters(), rt.dead_letters_by(DeadLetterReason::Displaced)), (3, 3));
}

#[test]
fn a_full_mailbox_redirects_once() {
    let rt = runtime();
    let (spill, told) = echo(&rt, "");
    let (pid, go, held) = held_with_two(&rt, Overflow::Redirect(spill));
    rt.send(pid, "3").unwrap();
    assert_eq!(next(&told), "3");
    rt.kill(spill);
    rt.join(spill, Some(DEADLINE)).unwrap();
    rt.send(pid, "4").unwrap();
    assert_eq!(rt.dead_letters_by(DeadLetterReason::NoProcess), 1);
    assert_eq!(handled(&rt, pid, &go, &held), ["first", "1", "2"]);
}

#[test]
fn a_full_target_of_a_redirect_decides_by_its_own_policy_and_redirects_no_further() {
    let rt = Runtime::builder().workers(4).start().unwrap();
    let (dropper, _go, _told) = held_with_two(&rt, Overflow::DropOld);
    let (pid, _go, _told) = held_with_two(&rt, Overflow::Redirect(dropper));
    rt.send(pid, "3").unwrap();
    assert_eq!(rt.dead_letters_by(DeadLetterReason::Displaced), 1);
    assert_eq!((rt.mailbox_size(pid), rt.mailbox_size(dropper)), (Some(2), Some(2)));

    let (second, _go, _told) = held_with_two(&rt, Overflow::Redirect(pid));
    let error = rt.send(second, "3").unwrap_err();
    assert!(matches!(error, SendError::Full { pid, .. } if pid == second));
    assert_eq!(rt.dead_letters(), 1);
}

#[test]
fn system_messages_find_room_in_a_full_mailbox_and_do_not_count() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::Reject);
    let version = rt.hot_swap(pid, Box::new(bytes_fn(|_, _: &mut Context<'_>| {}))).unwrap();
    assert!(rt.ping(pid, pid) && rt.trap_exit(pid, true));
    assert_eq!((rt.mailbox_size(pid), rt.version(pid)), (Some(2), Some(version)));
    assert_eq!(handled(&rt, pid, &go, &told), ["first", "1", "2"]);
    assert_eq!(rt.dead_letters(), 0);
}

/// Writes down messages and system messages in the order of their handling.
struct Diary(Arc<Mutex<Vec<String>>>, Option<Receiver<()>>);

impl Diary {
    fn note(&self, text: String) -> Flow {
        self.0.lock().unwrap().push(text);
        Flow::Continue
    }
}

impl Behaviour for Diary {
    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        if let Some(gate) = self.1.take() {
            let _ = gate.recv();
        }
        self.note(String::from_utf8(message.into_bytes().unwrap().to_vec()).unwrap())
    }

    fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
        match message {
            SystemMessage::Exit { reason, .. } => self.note(format!("exit {reason}")),
            SystemMessage::HotSwap { version, .. } => self.note(format!("swap {version}")),
            _ => Flow::Continue,
        }
    }
}

/// An actor that is held at its first message and keeps a diary.
fn diarist(rt: &Runtime, options: SpawnOptions) -> (Pid, SyncSender<()>, Arc<Mutex<Vec<String>>>) {
    let (go, gate) = sync_channel(1);
    let diary = Arc::default();
    let pid = rt.spawn_behaviour(Box::new(Diary(Arc::clone(&diary), Some(gate))), options);
    rt.send(pid, "first").unwrap();
    eventually("it is held", || rt.mailbox_size(pid) == Some(0));
    (pid, go, diary)
}

#[test]
fn s41_signals_keep_their_place_among_the_messages_of_a_bounded_mailbox() {
    let rt = runtime();
    let (pid, go, diary) = diarist(&rt, SpawnOptions { trap_exit: true, ..bounded(10, Overflow::Reject) });
    let (friend, _told) = echo(&rt, "");
    rt.monitor(pid, friend);
    rt.send(pid, "1").unwrap();
    let code = Diary(diary.clone(), None);
    rt.hot_swap(pid, Box::new(code)).unwrap();
    rt.send(pid, "2").unwrap();
    rt.exit(pid, ExitReason::Other("trapped".to_owned()));
    rt.send(pid, "3").unwrap();
    rt.kill(friend);
    rt.join(friend, Some(DEADLINE)).unwrap();
    rt.send(pid, "4").unwrap();
    rt.stop(pid);
    rt.send(pid, "5").unwrap();
    let ended = watch(&rt, pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Normal);
    let diary = diary.lock().unwrap().join(", ");
    assert_eq!(diary, "first, 1, swap 2, 2, exit other: trapped, 3, exit killed, 4");
    assert_eq!(rt.dead_letters_by(DeadLetterReason::Ended), 1);
}

#[test]
fn s41_a_signal_stays_before_a_message_that_displaced_the_one_it_followed() {
    let rt = runtime();
    let (pid, go, diary) = diarist(&rt, bounded(1, Overflow::DropOld));
    rt.send(pid, "1").unwrap();
    rt.hot_swap(pid, Box::new(Diary(diary.clone(), None))).unwrap();
    rt.send(pid, "2").unwrap();
    rt.hot_swap(pid, Box::new(Diary(diary.clone(), None))).unwrap();
    let ended = watch(&rt, pid);
    rt.stop(pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Normal);
    assert_eq!(*diary.lock().unwrap(), ["first", "swap 2", "2", "swap 3"]);
}

#[test]
fn s41_a_kill_overtakes_the_messages_of_a_bounded_mailbox() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::Reject);
    rt.kill(pid);
    let ended = watch(&rt, pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Killed);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["first"]);
    assert_eq!(rt.dead_letters_by(DeadLetterReason::Ended), 2);
}

#[test]
fn a_sender_waits_for_room_in_order_and_a_plain_send_does_not() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::Block);
    let error = rt.send(pid, "no").unwrap_err();
    assert!(matches!(error, SendError::Full { .. }));
    let [mut third, mut fourth, mut fifth] = ["3", "4", "5"].map(|text| Box::pin(rt.send_async(pid, text)));
    for send in [&mut third, &mut fourth, &mut fifth] {
        assert!(poll_once(send).is_pending());
    }
    go.send(()).unwrap();
    for text in ["first", "1", "2"] {
        assert_eq!(next(&told), text);
    }
    // The mailbox is empty, and its two places are promised.
    assert!(poll_once(&mut fifth).is_pending());
    assert!(matches!(rt.send(pid, "no"), Err(SendError::Full { .. })));
    assert!(poll_once(&mut fourth).is_ready());
    assert_eq!(next(&told), "4");
    assert!(poll_once(&mut fifth).is_ready());
    assert!(poll_once(&mut third).is_ready());
    assert_eq!([next(&told), next(&told)], ["5", "3"]);
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    pin!(future).poll(&mut TaskContext::from_waker(Waker::noop()))
}

#[test]
fn a_send_that_is_dropped_while_it_waits_sends_nothing_and_passes_its_turn_on() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::Block);
    let mut given_up = Box::pin(rt.send_async(pid, "given up"));
    let mut granted = Box::pin(rt.send_async(pid, "granted"));
    let mut kept = Box::pin(rt.send_async(pid, "kept"));
    assert!(poll_once(&mut given_up).is_pending());
    assert!(poll_once(&mut granted).is_pending());
    assert!(poll_once(&mut kept).is_pending());
    drop(given_up);
    go.send(()).unwrap();
    for text in ["first", "1", "2"] {
        assert_eq!(next(&told), text);
    }
    // Its place is promised by now, and it goes nevertheless.
    drop(granted);
    rt.io().block_on(async { tokio::time::timeout(DEADLINE, kept).await }).unwrap().unwrap();
    assert_eq!(next(&told), "kept");
    assert_eq!(rt.dead_letters(), 0);
    rt.send(pid, "room").unwrap();
    assert_eq!(next(&told), "room");
}

#[test]
fn g3_a_sender_that_waits_is_told_of_the_end_and_gets_its_message_back() {
    let rt = runtime();
    let (pid, go, _told) = held_with_two(&rt, Overflow::Block);
    let waiting = {
        let rt = rt.clone();
        std::thread::spawn(move || rt.send_blocking(pid, "back", DEADLINE).unwrap_err())
    };
    let mut polled = Box::pin(rt.send_async(pid, "also back"));
    assert!(poll_once(&mut polled).is_pending());
    rt.kill(pid);
    go.send(()).unwrap();
    let error = waiting.join().unwrap();
    assert!(matches!(error, SendError::NoProcess { .. }), "{error}");
    assert_eq!(error.into_message().into_bytes().unwrap(), "back");
    let error = rt.io().block_on(polled).unwrap_err();
    assert_eq!(error.into_message().into_bytes().unwrap(), "also back");
}

#[test]
fn a_blocking_send_gives_up_in_time_and_hands_the_message_back() {
    let rt = runtime();
    let (pid, go, told) = held_with_two(&rt, Overflow::Block);
    let error = rt.send_blocking(pid, "3", Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error, SendError::Full { .. }));
    assert_eq!(error.into_message().into_bytes().unwrap(), "3");
    assert_eq!(handled(&rt, pid, &go, &told), ["first", "1", "2"]);
}

#[test]
fn a_send_async_to_a_mailbox_that_never_makes_wait_is_done_at_once() {
    let rt = runtime();
    let (unbounded, told) = echo(&rt, "");
    let (rejects, _go, _told) = held_with_two(&rt, Overflow::Reject);
    let Poll::Ready(sent) = poll_once(&mut Box::pin(rt.send_async(unbounded, "x"))) else { panic!() };
    sent.unwrap();
    assert_eq!(next(&told), "x");
    let refused = poll_once(&mut Box::pin(rt.send_async(rejects, "x")));
    assert!(matches!(refused, Poll::Ready(Err(SendError::Full { .. }))));
}

/// Sends itself one message more than it has room for.
struct Selfish(Runtime, SyncSender<bool>);

impl AsyncActor for Selfish {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, pid: Pid) -> Flow {
        self.0.send_async(pid, "one").await.unwrap();
        let refused = self.0.send_async(pid, "two").await;
        let _ = self.1.send(matches!(refused, Err(SendError::Full { .. })));
        Flow::Stop(ExitReason::Normal)
    }
}

#[test]
fn an_actor_does_not_wait_for_room_in_its_own_mailbox() {
    let rt = runtime();
    let (tell, told) = sync_channel(1);
    let actor = rt.spawn_async(Selfish(rt.clone(), tell), bounded(1, Overflow::Block));
    actor.send(Bytes::new()).unwrap();
    assert!(next(&told));
}

/// Passes numbers on to an actor whose mailbox is small.
struct Upstream(Runtime, Pid);

impl AsyncActor for Upstream {
    type Msg = Bytes;

    async fn handle(&mut self, message: Bytes, _: Pid) -> Flow {
        self.0.send_async(self.1, message).await.unwrap();
        Flow::Continue
    }
}

#[test]
fn senders_of_every_kind_fill_a_small_mailbox_without_losing_a_message_or_its_order() {
    const EACH: usize = 2_000;
    let rt = runtime();
    let (tell, told) = sync_channel(10 * EACH);
    let most = Arc::new(AtomicUsize::new(0));
    let (pid_in, pid_out) = sync_channel::<Pid>(1);
    let (seen, handle) = (most.clone(), rt.clone());
    let mut own = None;
    let mut tell_on = teller("", tell);
    let function = move |message: Bytes, cx: &mut Context<'_>| {
        let pid = *own.get_or_insert_with(|| pid_out.recv().unwrap());
        seen.fetch_max(handle.mailbox_size(pid).unwrap_or(0), Ordering::Relaxed);
        tell_on(message, cx)
    };
    let pid = rt.spawn_behaviour(Box::new(bytes_fn(function)), bounded(3, Overflow::Block));
    pid_in.send(pid).unwrap();
    let actors: Vec<_> = ["a", "b"]
        .map(|name| (name, rt.spawn_async(Upstream(rt.clone(), pid), SpawnOptions::default())))
        .into();
    std::thread::scope(|scope| {
        for name in ["c", "d"] {
            let rt = &rt;
            scope.spawn(move || {
                (0..EACH).for_each(|n| rt.send_blocking(pid, format!("{name}{n}"), DEADLINE).unwrap());
            });
        }
        let rt = rt.clone();
        let task = rt.clone().io().spawn(async move {
            for n in 0..EACH {
                rt.send_async(pid, format!("e{n}")).await.unwrap();
            }
        });
        for n in 0..EACH {
            for (name, actor) in &actors {
                actor.send(Bytes::from(format!("{name}{n}"))).unwrap();
            }
        }
        eventually("the task is done", || task.is_finished());
    });
    let mut counts = [0; 5];
    for _ in 0..5 * EACH {
        let text = next(&told);
        let place = usize::from(text.as_bytes()[0] - b'a');
        assert_eq!(text[1..], counts[place].to_string());
        counts[place] += 1;
    }
    assert!(most.load(Ordering::Relaxed) <= 3, "{most:?}");
    assert_eq!((rt.dead_letters(), rt.mailbox_size(pid)), (0, Some(0)));
}

#[test]
fn plain_senders_to_a_small_mailbox_are_served_or_told() {
    for overflow in [Overflow::Reject, Overflow::DropNew, Overflow::DropOld, Overflow::Block] {
        let rt = runtime();
        let handled = Arc::new(AtomicUsize::new(0));
        let count = handled.clone();
        let function = move |_: Bytes, _: &mut Context<'_>| _ = count.fetch_add(1, Ordering::Relaxed);
        let pid = rt.spawn_behaviour(Box::new(bytes_fn(function)), bounded(5, overflow));
        let refused = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        refused.fetch_add(usize::from(rt.send(pid, "x").is_err()), Ordering::Relaxed);
                    }
                });
            }
        });
        let gone = || refused.load(Ordering::Relaxed) + usize::try_from(rt.dead_letters()).unwrap();
        eventually("each has one outcome", || handled.load(Ordering::Relaxed) + gone() == 30_000);
    }
}

#[test]
fn s36_a_bounded_mailbox_belongs_to_one_actor_after_another() {
    let rt = runtime();
    for round in 0..500 {
        let options = if round % 3 == 0 { SpawnOptions::default() } else { bounded(1, Overflow::Block) };
        let (old, go, told) = held_with(&rt, "", options);
        rt.send(old, "1").unwrap();
        let mut waiting = Box::pin(rt.send_async(old, "2"));
        let at_once = poll_once(&mut waiting).is_ready();
        assert_eq!(at_once, round % 3 == 0);
        rt.kill(old);
        go.send(()).unwrap();
        rt.join(old, Some(DEADLINE)).unwrap();
        assert_eq!(next(&told), "first");
        assert!(matches!(rt.send(old, "stale"), Err(SendError::NoProcess { .. })));
        if !at_once {
            assert!(rt.io().block_on(waiting).is_err());
        }
    }
}

#[test]
fn an_async_actor_with_a_bounded_mailbox_takes_one_message_at_a_time() {
    let rt = runtime();
    let (tell, told) = sync_channel(100);
    let (go, gate) = tokio::sync::watch::channel(false);
    struct Slow(tokio::sync::watch::Receiver<bool>, SyncSender<u32>);
    impl AsyncActor for Slow {
        type Msg = u32;
        async fn handle(&mut self, number: u32, _: Pid) -> Flow {
            self.0.wait_for(|open| *open).await.unwrap();
            self.1.send(number).unwrap();
            Flow::Continue
        }
    }
    let actor = rt.spawn_async(Slow(gate, tell), bounded(2, Overflow::Reject));
    actor.send(0).unwrap();
    eventually("it waits in its handler", || rt.mailbox_size(actor.pid()) == Some(0));
    actor.send(1).unwrap();
    assert!(!actor.is_full());
    actor.send(2).unwrap();
    assert!(actor.is_full());
    let error = actor.send(3).unwrap_err();
    assert_eq!(error.into_message(), 3);
    go.send(true).unwrap();
    for number in 0..3 {
        assert_eq!(next(&told), number);
    }
}

#[test]
fn a_typed_message_that_finds_no_room_comes_back_as_it_was() {
    struct Never;
    impl Actor for Never {
        type Msg = Vec<String>;
        fn handle(&mut self, _: Vec<String>, _: &mut Context<'_>) -> Flow {
            Flow::Park(Box::pin(std::future::pending()))
        }
    }
    let rt = runtime();
    let actor = rt.spawn_with(Never, bounded(0, Overflow::Block));
    actor.send(vec![]).unwrap();
    eventually("it waits", || rt.mailbox_size(actor.pid()) == Some(0));
    actor.send(vec![]).unwrap();
    let message = vec!["a".to_owned(), "b".to_owned()];
    let error = actor.send(message.clone()).unwrap_err();
    assert_eq!(error.into_message(), message);
    let error = actor.send_blocking(message.clone(), Duration::ZERO).unwrap_err();
    assert_eq!(error.into_message(), message);
    assert_eq!(rt.mailbox_capacity(actor.pid()), Some(1));
}

#[test]
fn a_shutdown_drains_bounded_mailboxes_and_counts_what_is_left() {
    let rt = runtime();
    let (_pid, go, told) = held_with_two(&rt, Overflow::Block);
    go.send(()).unwrap();
    assert_eq!(rt.shutdown(DEADLINE), 0);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["first", "1", "2"]);

    let rt = runtime();
    let (_pid, _go, _told) = held_with_two(&rt, Overflow::Block);
    assert_eq!(rt.shutdown(Duration::ZERO), 2);
}

/// A waker as none should be.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        std::panic::resume_unwind(Box::new("woken"));
    }
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), SendError<Payload>>> + 'a>>;

/// Sends that wait for room in the mailbox of `pid`, with such a waker.
fn waits(rt: &Runtime, pid: Pid) -> Vec<Sending<'_>> {
    let waker = Waker::from(Arc::new(Panics));
    let mut sends: Vec<Sending<'_>> = (0..3).map(|_| Box::pin(rt.send_async(pid, "waits")) as _).collect();
    for send in &mut sends {
        assert!(send.as_mut().poll(&mut TaskContext::from_waker(&waker)).is_pending());
    }
    sends
}

#[test]
fn a_waker_that_panics_harms_neither_the_actor_nor_its_end() {
    let config = RuntimeConfig { workers: 1, ..RuntimeConfig::default() };
    let rt = Runtime::builder().config(config).start().unwrap();
    let (pid, go, told) = held_with_two(&rt, Overflow::Block);
    let sends = waits(&rt, pid);
    go.send(()).unwrap();
    for text in ["first", "1", "2"] {
        assert_eq!(next(&told), text);
    }
    drop(sends);

    let (pid, go, _told) = held_with_two(&rt, Overflow::Block);
    let sends = waits(&rt, pid);
    let ended = watch(&rt, pid);
    rt.kill(pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Killed);
    for mut send in sends {
        let Poll::Ready(sent) = poll_once(&mut send) else { panic!("nobody was told") };
        assert!(matches!(sent.unwrap_err(), SendError::NoProcess { .. }));
    }
    // The worker goes on.
    let (other, told) = echo(&rt, "");
    rt.send(other, "still here").unwrap();
    assert_eq!(next(&told), "still here");
}

#[test]
fn g3_a_shutdown_tells_who_waits_for_room_behind_a_handler_that_does_not_return() {
    let rt = runtime();
    let (pid, go, _told) = held_with_two(&rt, Overflow::Block);
    let mut send = Box::pin(rt.send_async(pid, "back"));
    assert!(poll_once(&mut send).is_pending());
    rt.shutdown(Duration::ZERO);
    let Poll::Ready(sent) = poll_once(&mut send) else { panic!("nobody was told") };
    assert_eq!(sent.unwrap_err().into_message().into_bytes().unwrap(), "back");
    // Neither is what waited there lost without a trace.
    assert_eq!(rt.dead_letters_by(DeadLetterReason::Ended), 2);
    assert!(rt.send(pid, "late").is_err());
    go.send(()).unwrap();
    eventually("the actor has ended", || !rt.is_alive(pid));
    assert_eq!(rt.dead_letters(), 2);
}

/// What `rt` gets to the actor `far` until it is told to wait, one after the other.
fn sent_until_busy(rt: &Runtime, addr: &NodeAddr, far: Pid) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        let n = sent.len().to_string();
        match rt.io().block_on(rt.node().send(addr, far, n.clone().into())) {
            Ok(()) => sent.push(n),
            Err(RemoteSendError::Busy { .. }) => return sent,
            Err(error) => panic!("{error}"),
        }
        assert!(sent.len() < 5_000, "nobody is told");
    }
}

/// By the bound of its mailbox alone: what peers may have in one actor is far more.
#[test]
fn l12_an_actor_with_a_bounded_mailbox_is_spared_and_gets_all_that_was_taken() {
    let network = MemoryNetwork::new();
    let narrow = || NodeConfig {
        outbound_messages: 8,
        send_timeout: Duration::from_millis(300),
        credit_messages: 64,
        ..NodeConfig::default()
    };
    let (client, server) = (start(&network, narrow()), start(&network, narrow()));
    let addr = listen(&server, "server:0");
    for overflow in [Overflow::Block, Overflow::Reject] {
        // By the address of the own node too.
        for sender in [&client, &server] {
            let (far, go, told) = held_with(&server, "", bounded(2, overflow));
            let sent = sent_until_busy(sender, &addr, far);
            let here = server.send(far, "here");
            assert!(matches!(here, Err(SendError::Full { .. })), "who is on the node finds it full");
            drop(go);
            assert_eq!(next(&told), "first");
            for text in sent {
                assert_eq!(next(&told), text);
            }
            // It has caught up, which its senders are told too.
            let send = || sender.io().block_on(sender.node().send(&addr, far, "last".into()));
            eventually("there is room", || send().is_ok());
            assert_eq!(next(&told), "last");
        }
    }
    assert_eq!(server.dead_letters(), 0);
}

#[test]
fn l12_a_policy_that_drops_messages_drops_those_of_other_nodes() {
    let network = MemoryNetwork::new();
    let (client, server) = (start(&network, NodeConfig::default()), start(&network, NodeConfig::default()));
    let addr = listen(&server, "server:0");
    for (overflow, kept) in [(Overflow::DropNew, ["0", "1"]), (Overflow::DropOld, ["8", "9"])] {
        let (far, go, told) = held_with(&server, "", bounded(2, overflow));
        let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
        let before = server.dead_letters();
        (0..10).for_each(|n| client.send(proxy, n.to_string()).unwrap());
        eventually("all are there", || server.dead_letters() == before + 8);
        drop(go);
        assert_eq!(next(&told), "first");
        kept.into_iter().for_each(|text| assert_eq!(next(&told), text));
    }
}
