//! Code that fails where nobody expects it, waits where it should not, or ends at a bad moment: it
//! may harm its own actor and nothing else.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, crash_recorder, echo, eventually, held, next, runtime, watch};
use myrmidon::actor::{
    Actor, AsyncActor, Behaviour, Context, ExitCause, ExitReason, Flow, MonitorRef, Observed, SpawnOptions,
    SystemMessage, bytes_fn,
};
use myrmidon::config::RuntimeConfig;
use myrmidon::mailbox::{Payload, Value};
use myrmidon::supervision::{Factory, Strategy};
use myrmidon::{Pid, Runtime};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

fn bomb() -> Payload {
    Payload::Value(Value::new(Bomb))
}

/// One worker, and nobody to stand in for it.
fn config() -> RuntimeConfig {
    RuntimeConfig { workers: 1, spare_workers: 0, ..RuntimeConfig::default() }
}

fn single() -> Runtime {
    Runtime::builder().config(config()).start().unwrap()
}

/// The only worker still runs actors.
fn assert_works(rt: &Runtime) {
    let (pid, told) = echo(rt, "");
    rt.send(pid, "alive").unwrap();
    assert_eq!(next(&told), "alive");
}

#[test]
fn a_message_that_panics_when_dropped_harms_nobody() {
    let rt = single();
    let (pid, go, _told) = held(&rt, "");
    let ended = watch(&rt, pid);
    for _ in 0..3 {
        rt.send(pid, bomb()).unwrap();
    }
    rt.send(pid, "lost").unwrap();
    rt.kill(pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Killed);
    assert_eq!(rt.dead_letters(), 4);
    assert_works(&rt);
}

#[test]
fn a_timer_whose_message_panics_when_dropped_stops_no_other_timer() {
    let rt = single();
    let (dead, _told) = echo(&rt, "");
    rt.timers().send_after(Duration::from_secs(3600), dead, bomb());
    rt.kill(dead);
    rt.join(dead, Some(DEADLINE)).unwrap();
    rt.timers().send_after(Duration::from_secs(3600), dead, bomb());
    assert!(rt.timers().is_empty());
    let (pid, told) = echo(&rt, "");
    rt.timers().send_after(Duration::from_millis(1), pid, "on time");
    assert_eq!(next(&told), "on time");
}

#[test]
fn a_callback_that_panics_keeps_no_other_from_hearing_of_the_end() {
    let rt = single();
    let (pid, _told) = echo(&rt, "");
    rt.names().register("unlucky", pid).unwrap();
    rt.on_exit(pid, |_| panic!("in a callback"));
    let ended = watch(&rt, pid);
    rt.kill(pid);
    assert_eq!(next(&ended), ExitReason::Killed);
    assert_works(&rt);
}

#[test]
fn an_event_sink_that_panics_ends_no_worker() {
    let rt =
        Runtime::builder().config(config()).on_event(Arc::new(|_| panic!("in the sink"))).start().unwrap();
    let (pid, _told) = echo(&rt, "");
    let ended = watch(&rt, pid);
    rt.send(pid, "panic").unwrap();
    assert!(matches!(next(&ended), ExitReason::Panic(_)));
    assert_works(&rt);
}

/// Code that panics when it is dropped.
struct Explosive(#[allow(dead_code, reason = "held for its drop")] Bomb);

impl Behaviour for Explosive {
    fn handle(&mut self, _: Payload, _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }

    fn upgrade(&mut self, _: Option<&mut dyn Any>, version: u64) -> Result<(), String> {
        if version == 2 { Err("refused".to_owned()) } else { Ok(()) }
    }
}

#[test]
fn code_that_panics_when_dropped_ends_no_worker() {
    let rt = single();
    let (pid, _told) = echo(&rt, "");
    for _ in 0..12 {
        rt.hot_swap(pid, Box::new(Explosive(Bomb))).unwrap();
    }
    let ended = watch(&rt, pid);
    rt.stop(pid);
    next(&ended);
    assert_works(&rt);
}

#[test]
fn s40_refused_code_that_panics_when_dropped_leaves_the_old_in_place() {
    let rt = single();
    let (pid, told) = echo(&rt, "");
    rt.hot_swap(pid, Box::new(bytes_fn(|_, _| {}))).unwrap();
    rt.rollback(pid).unwrap();
    rt.send(pid, "a").unwrap();
    assert_eq!(next(&told), "a");
    let other = rt.spawn_fn(|_, _| {});
    rt.hot_swap(other, Box::new(bytes_fn(|_, _| {}))).unwrap();
    rt.hot_swap(other, Box::new(Explosive(Bomb))).unwrap();
    rt.send(other, "x").unwrap();
    eventually("the message is handled", || rt.mailbox_size(other) == Some(0));
    eventually("a refused version does not count", || rt.version(other) == Some(2));
    assert_works(&rt);
    assert!(rt.is_alive(other));
}

#[test]
fn a_panic_that_carries_a_bomb_is_an_exit_reason() {
    let rt = single();
    let pid = rt.spawn_fn(|_, _| -> Flow { std::panic::panic_any(Explosive(Bomb)) });
    let ended = watch(&rt, pid);
    rt.send(pid, "go").unwrap();
    assert!(matches!(next(&ended), ExitReason::Panic(_)));
    assert_works(&rt);
}

/// A future that is ready at once and panics when it is dropped.
struct ExplosiveFuture(#[allow(dead_code, reason = "held for its drop")] Bomb);

impl Future for ExplosiveFuture {
    type Output = Flow;

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Flow> {
        Poll::Ready(Flow::Continue)
    }
}

#[test]
fn a_future_that_panics_when_dropped_ends_no_worker() {
    struct Parks;
    impl Behaviour for Parks {
        fn handle(&mut self, _: Payload, _: &mut Context<'_>) -> Flow {
            Flow::Park(Box::pin(ExplosiveFuture(Bomb)))
        }
    }
    let rt = single();
    let pid = rt.spawn_behaviour(Box::new(Parks), SpawnOptions::default());
    rt.send(pid, "go").unwrap();
    assert_works(&rt);
}

#[test]
fn a_handler_may_stop_another_actor_and_wait_for_its_end() {
    let rt = runtime();
    let (child, _told) = echo(&rt, "");
    let (tell, told) = sync_channel(1);
    let inside = rt.clone();
    let parent = rt.spawn_fn(move |_, _| {
        inside.stop(child);
        tell.send(inside.join(child, Some(DEADLINE))).unwrap();
    });
    rt.send(parent, "go").unwrap();
    assert_eq!(told.recv_timeout(Duration::from_secs(5)).expect("no deadlock"), Ok(ExitReason::Normal));
}

#[test]
fn a_handler_that_waits_for_an_answer_does_not_keep_the_question() {
    let rt = runtime();
    let (answer, answers) = sync_channel(1);
    let other = rt.spawn_fn(move |_, _| answer.send(()).unwrap());
    let (tell, told) = sync_channel(1);
    let answers = Mutex::new(answers);
    let asking = rt.spawn_fn(move |_, cx: &mut Context<'_>| {
        cx.send(other, "question").unwrap();
        tell.send(answers.lock().unwrap().recv_timeout(DEADLINE).is_ok()).unwrap();
    });
    rt.send(asking, "go").unwrap();
    assert!(told.recv_timeout(Duration::from_secs(5)).expect("no deadlock"));
}

/// Answers every PONG with a ping of its own to itself.
struct Restless(Runtime, Arc<AtomicBool>);

impl Behaviour for Restless {
    fn handle(&mut self, _: Payload, cx: &mut Context<'_>) -> Flow {
        self.0.ping(cx.pid(), cx.pid());
        Flow::Continue
    }

    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        if matches!(message, SystemMessage::Pong { .. }) && !self.1.load(Ordering::Relaxed) {
            self.0.ping(cx.pid(), cx.pid());
        }
        Flow::Continue
    }
}

#[test]
fn s42_system_messages_count_towards_the_budget() {
    let rt = single();
    let stop = Arc::new(AtomicBool::new(false));
    let restless = rt.spawn_behaviour(Box::new(Restless(rt.clone(), stop.clone())), SpawnOptions::default());
    rt.send(restless, "go").unwrap();
    let (pid, told) = echo(&rt, "");
    rt.send(pid, "turn").unwrap();
    let turn = told.recv_timeout(Duration::from_secs(5));
    stop.store(true, Ordering::Relaxed);
    assert_eq!(turn.expect("its turn"), "turn");
}

#[test]
fn slow_messages_end_a_slice_early() {
    let rt = single();
    let (gate_pid, go, _gate) = held(&rt, "");
    let (tell, told) = sync_channel(100);
    let actors = ["a", "b"].map(|tag| {
        let tell = tell.clone();
        rt.spawn_fn(move |_, _| {
            std::thread::sleep(Duration::from_millis(2));
            tell.send(tag).unwrap();
        })
    });
    for _ in 0..20 {
        actors.iter().for_each(|pid| rt.send(*pid, "x").unwrap());
    }
    go.send(()).unwrap();
    let order: Vec<&str> = (0..40).map(|_| next(&told)).collect();
    let longest = order.chunk_by(|a, b| a == b).map(<[&str]>::len).max().unwrap();
    assert!(longest <= 4, "{longest} in a row");
    rt.stop(gate_pid);
}

#[test]
fn s35_a_monitor_made_at_spawn_gives_its_down() {
    let rt = runtime();
    let watcher = rt.spawn_observed(SpawnOptions::default());
    let monitor = MonitorRef::from_u64(u64::MAX);
    let options = SpawnOptions { monitored: Some((watcher, monitor)), ..SpawnOptions::default() };
    let child = rt.spawn_behaviour(Box::new(bytes_fn(|_, _| {})), options);
    rt.kill(child);
    eventually("the DOWN is there", || {
        rt.take_messages(watcher).unwrap().iter().any(|message| {
            matches!(message, Observed::System(SystemMessage::Exit { target, cause: ExitCause::Monitor(m), .. })
                if *target == child && *m == monitor)
        })
    });
}

#[test]
fn rollback_goes_further_back_each_time() {
    let rt = runtime();
    let (tell, told) = sync_channel(10);
    let code = |tag: &'static str| {
        let tell = tell.clone();
        Box::new(bytes_fn(move |_, _| tell.send(tag).unwrap()))
    };
    let pid = rt.spawn_behaviour(code("one"), SpawnOptions::default());
    rt.hot_swap(pid, code("two")).unwrap();
    rt.hot_swap(pid, code("three")).unwrap();
    for expected in ["three", "two", "one", "one"] {
        rt.send(pid, "x").unwrap();
        assert_eq!(next(&told), expected);
        rt.rollback(pid).unwrap();
    }
}

#[test]
fn watching_a_supervised_actor_keeps_its_factory() {
    let rt = runtime();
    let (pid, _told) = echo(&rt, "");
    let spawner = rt.clone();
    let factory: Factory = Arc::new(move || Ok(Some(spawner.spawn_fn(|_, _| {}))));
    rt.supervisor().supervise_with_factory(pid, factory, Strategy::RestartOne).unwrap();
    let child = || rt.supervisor().child_pids().first().copied();
    eventually("it is started", || child().is_some_and(|child| child != pid));
    let first = child().unwrap();
    rt.supervisor().watch(first, Strategy::RestartOne).unwrap();
    rt.kill(first);
    eventually("it is restarted", || child().is_some_and(|child| child != first && rt.is_alive(child)));
}

#[test]
fn the_crash_of_an_actor_that_a_factory_replaced_is_reported() {
    let (rt, crashes) = crash_recorder(2);
    let (pid, _told) = echo(&rt, "");
    let spawner = rt.clone();
    let factory: Factory = Arc::new(move || Ok(Some(spawner.spawn_fn(|_, _| {}))));
    rt.supervisor().supervise_with_factory(pid, factory, Strategy::RestartOne).unwrap();
    eventually("it is started", || rt.supervisor().child_pids() != [pid]);
    rt.send(pid, "panic").unwrap();
    eventually("the crash is reported", || *crashes.lock().unwrap() == [pid]);
}

struct Slow(Arc<AtomicUsize>);

impl AsyncActor for Slow {
    type Msg = Bytes;

    async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.0.fetch_add(1, Ordering::SeqCst);
        Flow::Continue
    }
}

#[test]
fn shutdown_drains_what_waits_behind_a_parked_handler() {
    let rt = runtime();
    let done = Arc::new(AtomicUsize::new(0));
    let slow = rt.spawn_async(Slow(done.clone()), SpawnOptions::default());
    for _ in 0..10 {
        slow.send(Bytes::new()).unwrap();
    }
    assert_eq!(rt.shutdown(DEADLINE), 0);
    // The last one had begun at least: a handler that waits with nothing behind it may wait for ever.
    assert!(done.load(Ordering::SeqCst) >= 9);
}

#[test]
fn an_async_actor_on_a_lane_has_its_timers() {
    let rt = runtime();
    let lane = rt.open_lane("side");
    let done = Arc::new(AtomicUsize::new(0));
    let options = SpawnOptions { lane: lane.id(), ..SpawnOptions::default() };
    let slow = rt.spawn_async(Slow(done.clone()), options);
    slow.send(Bytes::new()).unwrap();
    eventually("the message is handled", || {
        lane.wait(Some(Duration::from_millis(1)));
        lane.run(Duration::from_millis(10), || true);
        done.load(Ordering::SeqCst) == 1 || !rt.is_alive(slow.pid())
    });
    assert!(rt.is_alive(slow.pid()));
}

#[test]
fn a_trapped_exit_keeps_its_place_though_trapping_has_just_begun() {
    let rt = single();
    let (gate_pid, go, _gate) = held(&rt, "");
    let watcher = rt.spawn_observed(SpawnOptions::default());
    rt.trap_exit(watcher, false);
    rt.trap_exit(watcher, true);
    rt.send(watcher, "before").unwrap();
    rt.exit(watcher, ExitReason::Shutdown);
    go.send(()).unwrap();
    let mut seen = Vec::new();
    let deadline = std::time::Instant::now() + DEADLINE;
    while seen.len() < 2 && std::time::Instant::now() < deadline {
        seen.extend(rt.take_messages(watcher).unwrap());
    }
    assert!(matches!(seen[0], Observed::Message(_)), "{seen:?}");
    rt.stop(gate_pid);
}

/// Spawns another of its kind at once, and a message to keep it going.
struct Weed(Arc<AtomicU64>);

impl Actor for Weed {
    type Msg = Bytes;

    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        self.0.fetch_add(1, Ordering::Relaxed);
        let next = cx.spawn(Box::new(bytes_fn(|_, _| {})), SpawnOptions::default());
        let _ = cx.send(next, "x");
        let _ = cx.send(cx.pid(), "again");
        Flow::Continue
    }

    fn handle(&mut self, _: Bytes, cx: &mut Context<'_>) -> Flow {
        self.started(cx)
    }
}

#[test]
fn shutdown_ends_actors_that_are_spawned_meanwhile() {
    let rt = runtime();
    let count = Arc::new(AtomicU64::new(0));
    for _ in 0..4 {
        rt.spawn(Weed(count.clone()));
    }
    eventually("it grows", || count.load(Ordering::Relaxed) > 1_000);
    rt.shutdown(Duration::ZERO);
    assert_eq!(rt.actors(), []);
}

#[test]
fn a_runtime_dropped_inside_an_actor_ends_in_order() {
    let rt = runtime();
    let (tell, told) = sync_channel(4);
    struct Owner(Option<Runtime>, SyncSender<&'static str>);
    impl Behaviour for Owner {
        fn handle(&mut self, _: Payload, _: &mut Context<'_>) -> Flow {
            self.0.take();
            Flow::Continue
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.1.send("dropped").unwrap();
        }
    }
    let pid = rt.spawn_behaviour(Box::new(Owner(Some(rt.clone()), tell.clone())), SpawnOptions::default());
    let (other, _told) = echo(&rt, "");
    for pid in [pid, other] {
        let tell = tell.clone();
        rt.on_exit(pid, move |_| tell.send("ended").unwrap());
    }
    rt.send(pid, "go").unwrap();
    drop(rt);
    let mut seen = [next(&told), next(&told), next(&told)];
    seen.sort_unstable();
    assert_eq!(seen, ["dropped", "ended", "ended"]);
}

#[test]
fn timers_and_drains_without_end_are_fine() {
    let rt = runtime();
    let (pid, told) = echo(&rt, "");
    let timer = rt.timers().send_after(Duration::MAX, pid, "never");
    rt.timers().send_interval(Duration::MAX, pid, "never");
    rt.timers().send_after(Duration::from_millis(1), pid, "soon");
    assert_eq!(next(&told), "soon");
    assert!(rt.timers().cancel(timer));
    rt.shutdown(Duration::MAX);
}

#[test]
fn s32_linking_to_an_actor_that_dies_meanwhile_is_noticed() {
    let rt = runtime();
    for _ in 0..3_000 {
        let (a, b) = (rt.spawn_fn(|_, _| {}), rt.spawn_fn(|_, _| {}));
        let ended = watch(&rt, b);
        std::thread::scope(|scope| {
            scope.spawn(|| rt.kill(a));
            if !rt.link(a, b) {
                rt.kill(b);
            }
        });
        next(&ended);
    }
}

#[test]
fn a_cancelled_timer_drops_its_message_outside_the_lock() {
    struct Asks(Runtime, SyncSender<usize>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.1.send(self.0.timers().len()).unwrap();
        }
    }
    let rt = runtime();
    let (tell, told) = sync_channel(1);
    let message = Payload::Value(Value::new(Asks(rt.clone(), tell)));
    let timer = rt.timers().send_after(Duration::from_secs(3600), echo(&rt, "").0, message);
    let canceller = rt.clone();
    std::thread::spawn(move || canceller.timers().cancel(timer));
    assert_eq!(next(&told), 0);
}
