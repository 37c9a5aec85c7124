//! Sending, order, budget, swap, ending: what single actors do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, held, next, runtime, teller, watch};
use myrmidon::actor::{
    Actor, AsyncActor, Context, ExitReason, Flow, Observed, SpawnOptions, SystemMessage, bytes_fn,
};
use myrmidon::config::RuntimeConfig;
use myrmidon::error::{SendError, SwapError};
use myrmidon::runtime::JoinError;
use myrmidon::{Pid, Runtime};

#[test]
fn g2_messages_of_one_sender_keep_their_order() {
    let rt = runtime();
    let (pid, told) = echo(&rt, "");
    for n in 0..50_000 {
        rt.send(pid, n.to_string()).unwrap();
    }
    for n in 0..50_000 {
        assert_eq!(next(&told), n.to_string());
    }
}

#[test]
fn many_senders_and_actors_lose_nothing() {
    let rt = runtime();
    let count = Arc::new(AtomicU64::new(0));
    let actors: Vec<Pid> = (0..100)
        .map(|_| {
            let count = count.clone();
            rt.spawn_fn(move |_, _| {
                count.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..50_000 {
                    rt.send(actors[n % actors.len()], "x").unwrap();
                }
            });
        }
    });
    eventually("all are handled", || count.load(Ordering::Relaxed) == 200_000);
}

#[test]
fn actors_pass_messages_among_themselves() {
    let rt = runtime();
    let (done, finished) = sync_channel(1);
    struct Ring {
        next: Pid,
        done: std::sync::mpsc::SyncSender<()>,
    }
    impl Actor for Ring {
        type Msg = Bytes;
        fn handle(&mut self, message: Bytes, cx: &mut Context<'_>) -> Flow {
            let left = u64::from_be_bytes(message[..].try_into().unwrap());
            match left {
                0 => self.done.send(()).unwrap(),
                _ => cx.send(self.next, (left - 1).to_be_bytes().to_vec()).unwrap(),
            }
            Flow::Continue
        }
    }
    let last = rt.spawn_fn(|_, _| {});
    let mut next_pid = last;
    for _ in 0..100 {
        next_pid = rt.spawn(Ring { next: next_pid, done: done.clone() }).pid();
    }
    rt.send(next_pid, 99_u64.to_be_bytes().to_vec()).unwrap();
    next(&finished);
}

#[test]
fn a_send_to_a_dead_or_foreign_pid_hands_the_message_back() {
    let (rt, other) = (runtime(), runtime());
    let (pid, _told) = echo(&rt, "");
    assert!(rt.stop(pid));
    rt.join(pid, Some(DEADLINE)).unwrap();
    let error = rt.send(pid, "lost").unwrap_err();
    assert!(matches!(error, SendError::NoProcess { .. }));
    assert_eq!(error.into_message().into_bytes().unwrap(), "lost");
    assert!(!rt.is_alive(pid));
    let (theirs, _told) = echo(&other, "");
    assert!(rt.send(theirs, "x").is_err(), "a PID of another runtime names nobody here");
    assert!(!rt.stop(pid));
}

#[test]
fn s36_a_stale_pid_never_reaches_the_next_actor_of_its_slot() {
    let rt = runtime();
    for _ in 0..2_000 {
        let (old, _told) = echo(&rt, "");
        rt.kill(old);
        rt.join(old, Some(DEADLINE)).unwrap();
        let (new, told) = echo(&rt, "");
        assert_ne!(old, new);
        assert!(rt.send(old, "stale").is_err());
        rt.send(new, "fresh").unwrap();
        assert_eq!(next(&told), "fresh");
        rt.stop(new);
    }
}

#[test]
fn s41_stop_waits_for_earlier_messages_and_kill_does_not() {
    let rt = runtime();
    let (pid, go, told) = held(&rt, "");
    for n in 0..10 {
        rt.send(pid, n.to_string()).unwrap();
    }
    assert!(rt.stop(pid));
    rt.send(pid, "late").unwrap();
    let ended = watch(&rt, pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Normal);
    let handled: Vec<String> = told.iter().collect();
    assert_eq!(handled.len(), 11, "{handled:?}");
    assert_eq!(rt.dead_letters(), 1);

    let (pid, go, told) = held(&rt, "");
    for n in 0..1_000 {
        rt.send(pid, n.to_string()).unwrap();
    }
    rt.kill(pid);
    let ended = watch(&rt, pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Killed);
    assert_eq!(told.iter().count(), 1, "at most the message being handled");
}

#[test]
fn s40_a_swap_takes_its_place_in_the_mailbox() {
    let rt = runtime();
    let (tell, told) = sync_channel(100);
    let (pid, go, old) = held(&rt, "a:");
    rt.send(pid, "1").unwrap();
    assert_eq!(rt.version(pid), Some(1));
    let version = rt.hot_swap(pid, Box::new(bytes_fn(teller("b:", tell)))).unwrap();
    assert_eq!(version, 2);
    rt.send(pid, "2").unwrap();
    go.send(()).unwrap();
    assert_eq!((next(&old), next(&old)), ("a:first".to_owned(), "a:1".to_owned()));
    assert_eq!(next(&told), "b:2");
    assert_eq!(rt.rollback(pid).unwrap(), 3);
    rt.send(pid, "3").unwrap();
    assert_eq!(next(&old), "a:3");
}

#[test]
fn s41_an_urgent_swap_acts_before_the_next_message() {
    let rt = runtime();
    let (tell, told) = sync_channel(100);
    let (pid, go, old) = held(&rt, "a:");
    rt.send(pid, "1").unwrap();
    rt.hot_swap_now(pid, Box::new(bytes_fn(teller("b:", tell)))).unwrap();
    go.send(()).unwrap();
    assert_eq!(next(&old), "a:first");
    assert_eq!(next(&told), "b:1");
}

#[test]
fn s40_swapping_the_dead_or_another_type_of_message_is_refused() {
    let rt = runtime();
    let (pid, _told) = echo(&rt, "");
    rt.kill(pid);
    rt.join(pid, Some(DEADLINE)).unwrap();
    assert_eq!(rt.hot_swap(pid, Box::new(bytes_fn(|_, _| {}))), Err(SwapError::NoProcess(pid)));
    let typed = rt.spawn(Adder { sum: 0, step: 1 });
    assert_eq!(
        rt.hot_swap(typed.pid(), Box::new(bytes_fn(|_, _| {}))),
        Err(SwapError::MessageType(typed.pid()))
    );
    let (fresh, _told) = echo(&rt, "");
    assert_eq!(rt.rollback(fresh), Err(SwapError::NoHistory(fresh)));
}

struct Adder {
    sum: u64,
    step: u64,
}

enum Add {
    One,
    Tell(std::sync::mpsc::SyncSender<u64>),
}

impl Actor for Adder {
    type Msg = Add;

    fn handle(&mut self, message: Add, _: &mut Context<'_>) -> Flow {
        match message {
            Add::One => self.sum += self.step,
            Add::Tell(tell) => tell.send(self.sum).unwrap(),
        }
        Flow::Continue
    }

    fn upgrade(&mut self, old: &mut dyn std::any::Any, _: u64) -> Result<(), String> {
        let old = old.downcast_ref::<Self>().ok_or("other code")?;
        if self.step == 0 {
            return Err("a step of zero".to_owned());
        }
        self.sum = old.sum;
        Ok(())
    }
}

#[test]
fn typed_actors_keep_their_state_across_a_swap_and_refuse_bytes() {
    let rt = runtime();
    let adder = rt.spawn(Adder { sum: 0, step: 1 });
    let ask = || {
        let (tell, told) = sync_channel(1);
        adder.send(Add::Tell(tell)).unwrap();
        next(&told)
    };
    adder.send(Add::One).unwrap();
    assert_eq!(ask(), 1);
    adder.hot_swap(Adder { sum: 0, step: 10 }).unwrap();
    adder.send(Add::One).unwrap();
    assert_eq!(ask(), 11);
    adder.hot_swap(Adder { sum: 0, step: 0 }).unwrap();
    adder.send(Add::One).unwrap();
    assert_eq!(ask(), 21, "a failed upgrade keeps the old code (S40)");
    assert!(matches!(rt.send(adder.pid(), "bytes"), Err(SendError::NotBytes { .. })));
}

#[test]
fn s39_a_panic_ends_the_actor_with_its_text_and_nothing_else() {
    let rt = runtime();
    let (pid, told) = echo(&rt, "");
    let seen = watch(&rt, pid);
    rt.send(pid, "before").unwrap();
    rt.send(pid, "panic").unwrap();
    assert_eq!(next(&told), "before");
    assert_eq!(next(&seen), ExitReason::Panic("as ordered".to_owned()));
    let (other, told) = echo(&rt, "");
    rt.send(other, "alive").unwrap();
    assert_eq!(next(&told), "alive");
}

#[test]
fn s42_a_flooded_actor_does_not_starve_the_others() {
    let rt = Runtime::builder().workers(1).start().unwrap();
    let (busy, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (count, ended) = (busy.clone(), stop.clone());
    let flood = rt.spawn_fn(move |_, cx: &mut Context<'_>| {
        count.fetch_add(1, Ordering::Relaxed);
        if ended.load(Ordering::Relaxed) == 0 {
            let _ = cx.send(cx.pid(), "again");
        }
    });
    rt.send(flood, "go").unwrap();
    let (other, told) = echo(&rt, "");
    for n in 0..100 {
        rt.send(other, n.to_string()).unwrap();
        assert_eq!(next(&told), n.to_string());
    }
    assert!(busy.load(Ordering::Relaxed) > 0);
    stop.store(1, Ordering::Relaxed);
}

#[test]
fn the_budget_bounds_the_messages_of_a_slice() {
    for budget in [1, 5, 100] {
        let config = RuntimeConfig { workers: 1, spare_workers: 0, ..RuntimeConfig::default() };
        let rt = Runtime::builder().config(config).start().unwrap();
        let (tell, told) = sync_channel(10_000);
        // Both are filled while the only worker is held, then take turns.
        let (gate_pid, go, _gate) = held(&rt, "");
        let options = SpawnOptions { budget: Some(budget), ..SpawnOptions::default() };
        let actors = ["a", "b"].map(|tag| {
            let tell = tell.clone();
            rt.spawn_behaviour(Box::new(bytes_fn(teller(tag, tell))), options.clone())
        });
        for n in 0..400 {
            for pid in actors {
                rt.send(pid, n.to_string()).unwrap();
            }
        }
        go.send(()).unwrap();
        let order: Vec<char> = (0..800).map(|_| next(&told).chars().next().unwrap()).collect();
        let longest = order.chunk_by(|a, b| a == b).map(<[char]>::len).max().unwrap();
        assert!(longest <= budget as usize * 2, "budget {budget}: {longest} in a row");
        rt.stop(gate_pid);
    }
}

struct Sleeper(std::sync::mpsc::SyncSender<String>);

impl AsyncActor for Sleeper {
    type Msg = Bytes;

    async fn handle(&mut self, message: Bytes, _: Pid) -> Flow {
        self.0.send(format!("begin {}", String::from_utf8_lossy(&message))).unwrap();
        if message == "forever" {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(message != "panic", "after a wait");
        self.0.send(format!("end {}", String::from_utf8_lossy(&message))).unwrap();
        Flow::Continue
    }
}

#[test]
fn async_handlers_run_one_after_another_and_a_kill_interrupts_them() {
    let rt = runtime();
    let (tell, told) = sync_channel(100);
    let sleeper = rt.spawn_async(Sleeper(tell), SpawnOptions::default());
    for message in ["1", "2", "forever", "never"] {
        rt.send(sleeper.pid(), message).unwrap();
    }
    for expected in ["begin 1", "end 1", "begin 2", "end 2", "begin forever"] {
        assert_eq!(next(&told), expected);
    }
    let observer = rt.spawn_observed(SpawnOptions::default());
    rt.ping(sleeper.pid(), observer);
    eventually("the pong comes while the handler is parked (S41)", || {
        rt.take_messages(observer)
            .unwrap()
            .iter()
            .any(|m| matches!(m, Observed::System(SystemMessage::Pong { from }) if *from == sleeper.pid()))
    });
    let ended = watch(&rt, sleeper.pid());
    rt.kill(sleeper.pid());
    assert_eq!(next(&ended), ExitReason::Killed);
    assert!(told.recv().is_err(), "the future was dropped, nothing more ran");
}

struct Tally {
    sum: u64,
    step: u64,
    tell: std::sync::mpsc::SyncSender<u64>,
}

impl AsyncActor for Tally {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.sum += self.step;
        self.tell.send(self.sum).unwrap();
        Flow::Continue
    }

    fn upgrade(&mut self, old: &mut dyn std::any::Any, _: u64) -> Result<(), String> {
        if self.step == 0 {
            return Err("a step of zero".to_owned());
        }
        self.sum = old.downcast_ref::<Self>().ok_or("other code")?.sum;
        Ok(())
    }
}

#[test]
fn s40_async_actors_keep_their_state_across_a_swap_also_one_that_comes_while_they_wait() {
    let rt = runtime();
    let (tell, told) = sync_channel(10);
    let code = |step| Tally { sum: 0, step, tell: tell.clone() };
    let tally = rt.spawn_async(code(1), SpawnOptions::default());
    tally.send(Bytes::new()).unwrap();
    tally.hot_swap_async(code(10)).unwrap();
    tally.send(Bytes::new()).unwrap();
    tally.hot_swap_async(code(0)).unwrap();
    tally.send(Bytes::new()).unwrap();
    assert_eq!([next(&told), next(&told), next(&told)], [1, 11, 21]);
    rt.rollback(tally.pid()).unwrap();
    tally.send(Bytes::new()).unwrap();
    assert_eq!(next(&told), 22, "the state came back with the old code");
}

#[test]
fn a_panic_in_an_async_handler_is_an_exit_reason_too() {
    let rt = runtime();
    let (tell, _told) = sync_channel(100);
    let sleeper = rt.spawn_async(Sleeper(tell), SpawnOptions::default());
    let seen = watch(&rt, sleeper.pid());
    rt.send(sleeper.pid(), "panic").unwrap();
    assert_eq!(next(&seen), ExitReason::Panic("after a wait".to_owned()));
}

#[test]
fn mailbox_size_counts_what_waits() {
    let rt = runtime();
    let (pid, go, told) = held(&rt, "");
    assert_eq!(rt.mailbox_size(pid), Some(0));
    for _ in 0..7 {
        rt.send(pid, "x").unwrap();
    }
    assert_eq!(rt.mailbox_size(pid), Some(7));
    go.send(()).unwrap();
    (0..8).for_each(|_| drop(next(&told)));
    eventually("all are handled", || rt.mailbox_size(pid) == Some(0));
    rt.kill(pid);
    rt.join(pid, Some(DEADLINE)).unwrap();
    assert_eq!(rt.mailbox_size(pid), None);
}

#[test]
fn join_gives_the_reason_or_says_why_not() {
    let rt = runtime();
    let (pid, told) = echo(&rt, "");
    assert_eq!(rt.join(pid, Some(Duration::from_millis(10))), Err(JoinError::Timeout(pid)));
    rt.send(pid, "stop").unwrap();
    next(&told);
    eventually("it has ended", || !rt.is_alive(pid));
    assert_eq!(rt.join(pid, None).unwrap(), ExitReason::NoProcess);
    let (tell, told) = sync_channel(1);
    let own = rt.clone();
    let pid = rt.spawn_fn(move |_, cx: &mut Context<'_>| {
        tell.send(own.join(cx.pid(), None)).unwrap();
    });
    rt.send(pid, "join yourself").unwrap();
    assert_eq!(next(&told), Err(JoinError::OwnActor(pid)));
}

#[test]
fn buffers_move_into_messages_and_their_ids_die() {
    let rt = runtime();
    let (tell, told) = sync_channel(1);
    let pid = rt.spawn_fn(move |message: Bytes, _| tell.send(message).unwrap());
    let id = rt.allocate_buffer(1 << 20);
    let address = rt
        .with_buffer(id, |memory| {
            memory[7] = 7;
            memory.as_ptr() as usize
        })
        .unwrap();
    assert!(rt.send_buffer(pid, id));
    let received = next(&told);
    assert_eq!((received.len(), received[7]), (1 << 20, 7));
    assert_eq!(received.as_ptr() as usize, address, "no copy");
    assert!(!rt.send_buffer(pid, id), "the id is dead");
    assert!(rt.with_buffer(id, |_| ()).is_none());
    rt.stop(pid);
}

#[test]
fn shutdown_handles_what_is_queued_and_ends_everything() {
    let rt = runtime();
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let pid = rt.spawn_fn(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    for _ in 0..100_000 {
        rt.send(pid, "x").unwrap();
    }
    assert_eq!(rt.shutdown(DEADLINE), 0);
    assert_eq!(count.load(Ordering::Relaxed), 100_000);
    assert!(!rt.is_alive(pid));
    assert_eq!(Arc::strong_count(&count), 1, "the actor's state was dropped");
    assert_eq!(rt.shutdown(DEADLINE), 0);
}

#[test]
fn a_lane_runs_its_actors_on_the_thread_that_drives_it() {
    let rt = runtime();
    let lane = rt.open_lane("test");
    let (tell, told) = sync_channel(10);
    let options = SpawnOptions { lane: lane.id(), ..SpawnOptions::default() };
    let pid = rt.spawn_behaviour(
        Box::new(bytes_fn(move |_, _: &mut Context<'_>| tell.send(std::thread::current().id()).unwrap())),
        options,
    );
    rt.send(pid, "x").unwrap();
    assert!(lane.wait(Some(DEADLINE)));
    assert!(told.try_recv().is_err(), "nothing runs before the lane is driven");
    assert_eq!(lane.run(DEADLINE, || true), 1);
    assert_eq!(next(&told), std::thread::current().id());
    let sender = rt.clone();
    let waker = std::thread::spawn(move || sender.send(pid, "y").unwrap());
    assert!(lane.wait(Some(DEADLINE)), "a push wakes the driver");
    lane.run(DEADLINE, || true);
    waker.join().unwrap();
    lane.close();
    assert!(!lane.wait(None));
}

#[test]
fn a_driver_that_was_replaced_leaves_no_actor_behind() {
    let rt = runtime();
    let lane = rt.open_lane("test");
    let (tell, told) = sync_channel(10);
    let (go, gate) = sync_channel::<()>(1);
    let options = SpawnOptions { lane: lane.id(), budget: Some(1), ..SpawnOptions::default() };
    let handle = move |_, _: &mut Context<'_>| {
        tell.send(std::thread::current().id()).unwrap();
        let _ = gate.recv();
    };
    let pid = rt.spawn_behaviour(Box::new(bytes_fn(handle)), options);
    rt.send(pid, "holds up its driver").unwrap();
    rt.send(pid, "is left over").unwrap();

    let (driven, first) = (lane.clone(), std::cell::Cell::new(true));
    std::thread::spawn(move || driven.run(DEADLINE, || first.replace(false)));
    next(&told);
    let driven = lane.clone();
    let (tell_id, successor_id) = sync_channel(1);
    let successor = std::thread::spawn(move || {
        tell_id.send(thread_number()).unwrap();
        driven.wait(None);
        driven.run(DEADLINE, || true);
    });
    let successor_id = next(&successor_id);
    eventually("the successor sleeps", || is_asleep(&successor_id));
    go.send(()).unwrap();
    assert_eq!(next(&told), successor.thread().id());
    drop(go);
    successor.join().unwrap();
}

/// The number of this thread for [`is_asleep`], where the system gives one.
fn thread_number() -> Option<String> {
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// Whether that thread sleeps. Where the system does not tell: yes.
fn is_asleep(thread: &Option<String>) -> bool {
    let Some(thread) = thread else { return true };
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_none_or(|rest| rest.starts_with('S'))
}
