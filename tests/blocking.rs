//! Work that blocks its thread, on a pool of its own: actors and closures.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, next, teller, watch};
use myrmidon::actor::{Actor, AsyncActor, Context, ExitReason, Flow, SpawnOptions, bytes_fn};
use myrmidon::config::RuntimeConfig;
use myrmidon::runtime::Event;
use myrmidon::scheduler::{SpawnBlockingError, TaskError};
use myrmidon::{Pid, Runtime, Sim};

/// One worker, so many threads for blocking work, and so many closures that may wait for one.
fn runtime(blocking_threads: usize, blocking_queue: usize) -> Runtime {
    let config = RuntimeConfig { workers: 1, blocking_threads, blocking_queue, ..RuntimeConfig::default() };
    Runtime::builder().config(config).start().unwrap()
}

fn spawn_fn<R: Into<Flow>>(
    rt: &Runtime,
    f: impl FnMut(Bytes, &mut Context<'_>) -> R + Send + 'static,
) -> Pid {
    rt.spawn_behaviour(Box::new(bytes_fn(f)), SpawnOptions::blocking())
}

/// A blocking actor that says `held` and then waits for a word for each message.
fn held(rt: &Runtime) -> (Pid, SyncSender<()>, Receiver<()>) {
    let ((go, gate), (tell, told)) = (sync_channel(100), sync_channel(100));
    let pid = spawn_fn(rt, move |_, _| {
        tell.send(()).unwrap();
        let _ = gate.recv();
    });
    rt.send(pid, "x").unwrap();
    next(&told);
    (pid, go, told)
}

#[test]
fn blocking_actors_run_at_the_same_time_and_hold_up_no_worker() {
    let rt = runtime(8, 0);
    let barrier = Arc::new(Barrier::new(8));
    let (tell, told) = sync_channel(8);
    for _ in 0..8 {
        let (barrier, tell) = (barrier.clone(), tell.clone());
        let pid = spawn_fn(&rt, move |_, _| {
            barrier.wait();
            tell.send(thread::current().name().unwrap().to_owned()).unwrap();
        });
        rt.send(pid, "x").unwrap();
    }
    let mut names: Vec<_> = (0..8).map(|_| next(&told)).collect();
    names.sort();
    assert_eq!(names, [0, 1, 2, 3, 4, 5, 6, 7].map(|number| format!("myrmidon-blocking-{number}")));
}

#[test]
fn a_handler_on_the_pool_is_not_reported_as_stalled() {
    let (tell, told) = sync_channel(1000);
    let sink = move |event: &Event| {
        if let Event::Stalled { pid, .. } = event {
            let _ = tell.try_send(*pid);
        }
    };
    let rt = Runtime::builder().workers(1).on_event(Arc::new(sink)).start().unwrap();
    let (blocking, go_blocking, _) = held(&rt);
    let (pid, go, _told) = common::held(&rt, "");
    for _ in 0..3 {
        assert_ne!(next(&told), blocking);
    }
    assert!(rt.is_alive(pid));
    drop((go, go_blocking));
}

#[test]
fn g2_a_blocking_actor_handles_one_message_after_another_in_order() {
    let rt = runtime(4, 0);
    let (tell, told) = sync_channel(10_000);
    let inside = AtomicBool::new(false);
    // Slices of a few messages, on whichever thread.
    let options = SpawnOptions { budget: Some(3), ..SpawnOptions::blocking() };
    let mut teller = teller("", tell);
    let ordered = bytes_fn(move |message, cx: &mut Context<'_>| {
        assert!(!inside.swap(true, Ordering::SeqCst), "two threads at once");
        let flow = teller(message, cx);
        inside.store(false, Ordering::SeqCst);
        flow
    });
    let pid = rt.spawn_behaviour(Box::new(ordered), options);
    let (_other, go, _) = held(&rt);
    (0..2000).for_each(|n| rt.send(pid, n.to_string()).unwrap());
    (0..2000).for_each(|n| assert_eq!(next(&told), n.to_string()));
    drop(go);
}

#[test]
fn s41_a_kill_of_a_blocking_actor_acts_before_its_next_message() {
    let rt = runtime(2, 0);
    let (pid, go, told) = held(&rt);
    (0..5).for_each(|_| rt.send(pid, "never").unwrap());
    let ended = watch(&rt, pid);
    rt.kill(pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Killed);
    assert!(told.try_recv().is_err());
    assert_eq!(rt.dead_letters(), 5);
}

#[test]
fn s40_new_code_of_a_blocking_actor_stays_on_the_pool() {
    let rt = runtime(1, 0);
    let (tell, told) = sync_channel(10);
    let place = |tag: &'static str| {
        let tell = tell.clone();
        bytes_fn(move |_, _: &mut Context<'_>| {
            let name = thread::current().name().unwrap().to_owned();
            tell.send((tag, name)).unwrap();
        })
    };
    let pid = rt.spawn_behaviour(Box::new(place("old")), SpawnOptions::blocking());
    rt.send(pid, "x").unwrap();
    rt.hot_swap(pid, Box::new(place("new"))).unwrap();
    rt.send(pid, "x").unwrap();
    assert_eq!(next(&told), ("old", "myrmidon-blocking-0".to_owned()));
    assert_eq!(next(&told), ("new", "myrmidon-blocking-0".to_owned()));
}

#[test]
fn s32_links_join_blocking_actors_and_others() {
    let rt = runtime(1, 0);
    let blocking = spawn_fn(&rt, |_, _| -> Flow { panic!("as ordered") });
    let (other, _told) = echo(&rt, "");
    let ended = watch(&rt, other);
    assert!(rt.link(blocking, other));
    rt.send(blocking, "x").unwrap();
    assert_eq!(next(&ended), ExitReason::Panic("as ordered".to_owned()));
}

#[test]
fn blocking_actors_wait_in_line_when_all_threads_are_busy() {
    let rt = runtime(1, 0);
    let (_pid, go, _) = held(&rt);
    let (tell, told) = sync_channel(1000);
    let actors: Vec<_> = (0..100)
        .map(|n| {
            let tell = tell.clone();
            spawn_fn(&rt, move |_, _| tell.send(n).unwrap())
        })
        .collect();
    actors.iter().for_each(|pid| rt.send(*pid, "x").unwrap());
    assert!(told.try_recv().is_err());
    go.send(()).unwrap();
    assert!((0..100).eq((0..100).map(|_| next(&told))));
}

#[test]
fn flooded_blocking_actors_share_one_thread() {
    let rt = runtime(1, 1);
    let stop = Arc::new(AtomicBool::new(false));
    let flooded = [(); 2].map(|()| {
        let stop = stop.clone();
        let pid = spawn_fn(&rt, move |_, cx| {
            if !stop.load(Ordering::Relaxed) {
                let _ = cx.send(cx.pid(), "again");
            }
        });
        rt.send(pid, "go").unwrap();
        pid
    });
    let mut task = rt.spawn_blocking(|| 7).unwrap();
    assert_eq!(task.wait(DEADLINE), Ok(7));
    stop.store(true, Ordering::Relaxed);
    assert!(flooded.iter().all(|pid| rt.is_alive(*pid)));
    assert_eq!(rt.shutdown(DEADLINE), 0);
}

#[test]
fn a_closure_gives_its_result_once() {
    let rt = runtime(2, 0);
    let mut task = rt.spawn_blocking(|| thread::current().name().unwrap().to_owned()).unwrap();
    assert_eq!(task.wait(DEADLINE), Ok("myrmidon-blocking-0".to_owned()));
    assert_eq!(task.wait(DEADLINE), Err(TaskError::Taken));
    assert!(task.is_finished());
}

#[test]
fn a_closure_that_panics_is_an_error_and_the_thread_goes_on() {
    let rt = runtime(1, 0);
    let mut task = rt.spawn_blocking(|| -> u32 { panic!("out of cheese") }).unwrap();
    assert_eq!(task.wait(DEADLINE), Err(TaskError::Panicked("out of cheese".to_owned())));
    let again = || rt.spawn_blocking(|| 7);
    eventually("the thread is free", || again().is_ok_and(|mut task| task.wait(DEADLINE) == Ok(7)));
}

#[test]
fn a_closure_that_has_not_returned_can_be_waited_for_again() {
    let rt = runtime(1, 0);
    let (go, gate) = sync_channel(1);
    let mut task = rt.spawn_blocking(move || gate.recv().unwrap()).unwrap();
    assert_eq!(task.wait(Duration::from_millis(1)), Err(TaskError::Timeout));
    assert!(!task.is_finished());
    go.send(7).unwrap();
    assert_eq!(task.wait(DEADLINE), Ok(7));
}

#[test]
fn closures_run_inside_the_context_of_the_runtime_s_io() {
    let rt = runtime(1, 0);
    let closure = || tokio::runtime::Handle::current().block_on(async { 7 });
    assert_eq!(rt.spawn_blocking(closure).unwrap().wait(DEADLINE), Ok(7));
}

/// Hands numbers to the pool and adds up what comes back.
struct Offload {
    rt: Runtime,
    tell: SyncSender<u64>,
    sum: u64,
}

impl AsyncActor for Offload {
    type Msg = u64;

    async fn handle(&mut self, number: u64, _: Pid) -> Flow {
        self.sum += self.rt.spawn_blocking(move || number * 2).unwrap().await.unwrap();
        self.tell.send(self.sum).unwrap();
        Flow::Continue
    }
}

#[test]
fn an_async_actor_awaits_a_closure() {
    let rt = runtime(4, 1000);
    let (tell, told) = sync_channel(1000);
    let actor = rt.spawn_async(Offload { rt: rt.clone(), tell, sum: 0 }, SpawnOptions::default());
    (0..1000).for_each(|n| actor.send(n).unwrap());
    let sums: Vec<_> = (0..1000).map(|_| next(&told)).collect();
    assert_eq!(sums[999], 999 * 1000);
    rt.shutdown(Duration::ZERO);
}

#[test]
fn a_closure_beyond_the_bound_is_handed_back() {
    let rt = runtime(1, 2);
    let (_pid, go, _) = held(&rt);
    let done = Arc::new(Mutex::new(0));
    let closure = || {
        let done = done.clone();
        move || *done.lock().unwrap() += 1
    };
    let mut tasks = [(); 2].map(|()| rt.spawn_blocking(closure()).unwrap());
    let refused = rt.spawn_blocking(closure()).unwrap_err();
    assert!(matches!(refused, SpawnBlockingError::Full { waiting: 2, .. }), "{refused}");
    // An actor has its place in any case.
    let (tell, told) = sync_channel(1);
    let actor = spawn_fn(&rt, move |_, _| tell.send(()).unwrap());
    rt.send(actor, "x").unwrap();
    go.send(()).unwrap();
    tasks.iter_mut().for_each(|task| task.wait(DEADLINE).unwrap());
    next(&told);
    refused.into_closure()();
    assert_eq!(*done.lock().unwrap(), 3);
}

#[test]
fn a_shutdown_waits_for_closures_as_long_as_it_drains() {
    let rt = runtime(1, 100);
    let (_pid, go, _) = held(&rt);
    let mut tasks: Vec<_> = (0..10).map(|n| rt.spawn_blocking(move || n).unwrap()).collect();
    go.send(()).unwrap();
    assert_eq!(rt.shutdown(DEADLINE), 0);
    let results: Vec<_> = tasks.iter_mut().map(|task| task.wait(Duration::ZERO).unwrap()).collect();
    assert!(results.into_iter().eq(0..10));
}

#[test]
fn a_shutdown_leaves_a_stuck_thread_behind_and_drops_what_waits() {
    let rt = runtime(1, 100);
    let (go, gate) = sync_channel::<()>(1);
    let (tell, told) = sync_channel(1);
    let mut stuck = rt.spawn_blocking(move || {
        tell.send(()).unwrap();
        gate.recv().is_ok()
    });
    next(&told);
    let mut waits = rt.spawn_blocking(|| ()).unwrap();
    rt.shutdown(Duration::ZERO);
    assert_eq!(waits.wait(DEADLINE), Err(TaskError::ShutDown));
    let refused = rt.spawn_blocking(|| 7).unwrap_err();
    assert!(matches!(refused, SpawnBlockingError::ShutDown { .. }), "{refused}");
    assert_eq!(refused.into_closure()(), 7);
    go.send(()).unwrap();
    assert_eq!(stuck.as_mut().unwrap().wait(DEADLINE), Ok(true));
}

#[test]
fn a_shutdown_ends_actors_that_wait_behind_a_stuck_thread() {
    let rt = runtime(1, 0);
    let (_stuck, go, _told) = held(&rt);
    let waits = spawn_fn(&rt, |_, _| ());
    rt.send(waits, "x").unwrap();
    let ended = watch(&rt, waits);
    assert_eq!(rt.shutdown(Duration::ZERO), 1);
    assert_eq!(next(&ended), ExitReason::Killed);
    assert_eq!(rt.dead_letters(), 1);
    go.send(()).unwrap();
}

#[test]
fn in_a_simulation_who_waits_for_a_closure_has_it_run() {
    let sim = Sim::new(7).unwrap();
    let rt = sim.runtime();
    let other = rt.spawn_fn(|_, _| ());
    let handle = rt.clone();
    let mut task = rt.spawn_blocking(move || handle.join(other, None)).unwrap();
    rt.stop(other);
    assert!(matches!(task.wait(DEADLINE), Ok(Ok(_))));
}

#[test]
fn a_closure_may_shut_its_own_runtime_down() {
    let rt = runtime(1, 0);
    let own = rt.clone();
    let mut task = rt.spawn_blocking(move || own.shutdown(Duration::ZERO)).unwrap();
    assert_eq!(task.wait(DEADLINE), Ok(0));
}

/// Says on which thread each of its calls is.
struct Places(SyncSender<String>);

impl Actor for Places {
    type Msg = ();

    fn started(&mut self, _: &mut Context<'_>) -> Flow {
        self.0.send(thread::current().name().unwrap().to_owned()).unwrap();
        Flow::Continue
    }

    fn handle(&mut self, (): (), cx: &mut Context<'_>) -> Flow {
        self.started(cx)
    }
}

#[test]
fn the_first_call_of_a_blocking_actor_is_on_the_pool_too() {
    let rt = runtime(1, 0);
    let (tell, told) = sync_channel(2);
    let actor = rt.spawn_with(Places(tell), SpawnOptions::blocking());
    actor.send(()).unwrap();
    for _ in 0..2 {
        assert_eq!(next(&told), "myrmidon-blocking-0");
    }
}

#[test]
fn what_is_put_around_a_thread_of_the_pool_lasts_as_long_as_the_thread() {
    thread_local!(static INSIDE: AtomicBool = const { AtomicBool::new(false) });
    let ends = Arc::new(AtomicBool::new(false));
    let over = ends.clone();
    let rt = Runtime::builder()
        .around_blocking_threads(Arc::new(move |serve| {
            INSIDE.with(|inside| inside.store(true, Ordering::SeqCst));
            serve();
            over.store(true, Ordering::SeqCst);
        }))
        .start()
        .unwrap();
    let (tell, told) = sync_channel(2);
    let pid = spawn_fn(&rt, move |_, _| {
        tell.send(INSIDE.with(|inside| inside.load(Ordering::SeqCst))).unwrap();
    });
    for _ in 0..2 {
        rt.send(pid, "x").unwrap();
        assert!(next(&told));
    }
    assert!(!ends.load(Ordering::SeqCst));
    rt.shutdown(DEADLINE);
    assert!(ends.load(Ordering::SeqCst));
}

#[test]
fn a_thread_around_which_nothing_can_be_done_serves_all_the_same() {
    let rt = Runtime::builder().around_blocking_threads(Arc::new(|_| ())).start().unwrap();
    let mut task = rt.spawn_blocking(|| 7).unwrap();
    assert_eq!(task.wait(DEADLINE), Ok(7));
}
