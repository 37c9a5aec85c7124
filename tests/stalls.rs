//! Handlers that hold up the thread that runs them: they are reported, and others take over (S42).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{DEADLINE, echo, eventually, held, next, watch};
use myrmidon::actor::{Actor, ActorRef, Context, ExitReason, Flow, Priority, Reply, SpawnOptions, bytes_fn};
use myrmidon::config::RuntimeConfig;
use myrmidon::error::SendError;
use myrmidon::mailbox::{Mailbox, Overflow};
use myrmidon::runtime::Event;
use myrmidon::scheduler::Lane;
use myrmidon::{Pid, Runtime};

/// A runtime whose reports of stalled handlers are kept, and these reports.
fn reporting(config: RuntimeConfig) -> (Runtime, Receiver<Event>) {
    let (tell, told) = sync_channel(10_000);
    let sink = move |event: &Event| {
        let _ = tell.try_send(event.clone());
    };
    (Runtime::builder().config(config).on_event(Arc::new(sink)).start().unwrap(), told)
}

fn workers(workers: usize) -> RuntimeConfig {
    RuntimeConfig { workers, ..RuntimeConfig::default() }
}

/// The next report of this actor: the time for which it runs, or an error with the time that it took.
fn report(told: &Receiver<Event>, of: Pid) -> Result<Duration, Duration> {
    loop {
        match next(told) {
            Event::Stalled { pid, running_for } if pid == of => return Ok(running_for),
            Event::Recovered { pid, took } if pid == of => return Err(took),
            _ => {}
        }
    }
}

#[test]
fn s42_a_handler_that_holds_up_its_worker_is_reported_until_it_returns() {
    let (rt, reports) = reporting(workers(2));
    let (pid, go, _told) = held(&rt, "");
    let times = [(); 3].map(|()| report(&reports, pid).unwrap());
    assert!(times[0] >= rt.config().stall_after, "{times:?}");
    assert!(times.is_sorted_by(|one, next| *next >= *one * 2), "each after twice the time: {times:?}");
    go.send(()).unwrap();
    let took = loop {
        if let Err(took) = report(&reports, pid) {
            break took;
        }
    };
    assert!(took >= times[2]);
}

/// A thread that runs what is ready on the lane, until that is closed.
fn drive(lane: &Arc<Lane>) -> thread::JoinHandle<()> {
    let lane = lane.clone();
    thread::spawn(move || {
        while !lane.is_closed() {
            lane.wait(None);
            lane.run(Duration::from_millis(1), || true);
        }
    })
}

#[test]
fn s42_a_handler_on_a_lane_that_does_not_return_is_reported() {
    let lane_stall_after = Duration::from_millis(20);
    let (rt, reports) = reporting(RuntimeConfig { lane_stall_after, ..workers(1) });
    let lane = rt.open_lane("main");
    let (go, gate) = sync_channel::<()>(1);
    let wait = bytes_fn(move |_, _: &mut Context<'_>| gate.recv().unwrap());
    let options = SpawnOptions { lane: lane.id(), ..SpawnOptions::default() };
    let pid = rt.spawn_behaviour(Box::new(wait), options);
    let driver = drive(&lane);
    // Once the watchdog sleeps, the lane has to wake it.
    rt.send(pid, "x").unwrap();
    assert!(report(&reports, pid).unwrap() >= lane_stall_after);
    go.send(()).unwrap();
    while report(&reports, pid).is_ok() {}
    lane.close();
    driver.join().unwrap();
}

#[test]
fn s42_code_outside_of_its_actors_turns_is_reported_when_a_step_of_it_takes_too_long() {
    let lane_stall_after = Duration::from_millis(20);
    let (rt, reports) = reporting(RuntimeConfig { lane_stall_after, ..workers(1) });
    let lane = rt.open_lane("loop");
    let [outer, inner] = [(); 2].map(|()| rt.spawn_fn(|_, _| {}));
    // Once the watchdog sleeps, a step has to wake it.
    let step = lane.step(outer);
    assert!(report(&reports, outer).unwrap() >= lane_stall_after);
    let inside = lane.step(inner);
    assert!(report(&reports, inner).unwrap() >= lane_stall_after);
    drop(inside);
    while report(&reports, inner).is_ok() {}
    assert!(report(&reports, outer).is_ok(), "it is seen again when the step inside is over");
    step.again();
    while report(&reports, outer).is_ok() {}
    drop(step);
    let run_time = |pid| rt.info(pid).unwrap().run_time;
    eventually("the time is counted", || run_time(outer) >= lane_stall_after);
    assert!(run_time(inner) > Duration::ZERO);
}

#[test]
fn s42_a_handler_is_reported_where_a_lane_works_now_and_then() {
    let lane_stall_after = Duration::from_millis(20);
    let (rt, reports) = reporting(RuntimeConfig { lane_stall_after, ..workers(1) });
    let lane = rt.open_lane("main");
    let options = SpawnOptions { lane: lane.id(), ..SpawnOptions::default() };
    let (tell, told) = sync_channel(1);
    let quick = bytes_fn(move |_, _: &mut Context<'_>| tell.send(()).unwrap());
    let quick = rt.spawn_behaviour(Box::new(quick), options.clone());
    let driver = drive(&lane);
    let on_lane = || {
        let (go, gate) = sync_channel::<()>(1);
        let wait = bytes_fn(move |_, _: &mut Context<'_>| gate.recv().unwrap());
        let pid = rt.spawn_behaviour(Box::new(wait), options.clone());
        rt.send(pid, "x").unwrap();
        (pid, go)
    };
    let on_worker = || {
        let (pid, go, _told) = held(&rt, "");
        (pid, go)
    };
    // Many phases of the watchdog's rest, which looks at the lane now and then meanwhile.
    for round in 0..20 {
        for _ in 0..round {
            rt.send(quick, "x").unwrap();
            next(&told);
            thread::sleep(Duration::from_millis(2));
        }
        let (pid, go) = if round % 2 == 0 { on_lane() } else { on_worker() };
        report(&reports, pid).unwrap();
        go.send(()).unwrap();
        while report(&reports, pid).is_ok() {}
    }
    lane.close();
    driver.join().unwrap();
}

/// Answers at once, or asks another in its handler, which blocks the worker.
struct Asker(Option<ActorRef<Reply<u32>>>);

impl Actor for Asker {
    type Msg = Reply<u32>;

    fn handle(&mut self, reply: Reply<u32>, _: &mut Context<'_>) -> Flow {
        let answer = match &self.0 {
            Some(other) => other.ask_blocking(|reply| reply, DEADLINE).unwrap() + 1,
            None => 0,
        };
        reply.send(answer);
        Flow::Continue
    }
}

/// One worker, and no handler is ever taken for a stalled one: others run only where a handler makes way.
fn patient() -> RuntimeConfig {
    RuntimeConfig { stall_after: Duration::MAX, ..workers(1) }
}

#[test]
fn handlers_that_ask_each_other_share_one_worker() {
    let rt = Runtime::builder().config(patient()).start().unwrap();
    let mut last = rt.spawn(Asker(None));
    for _ in 0..3 {
        last = rt.spawn(Asker(Some(last)));
    }
    // Spares are called, dismissed and called again.
    for _ in 0..5 {
        assert_eq!(last.ask_blocking(|reply| reply, DEADLINE), Ok(3));
    }
}

#[test]
fn a_handler_that_joins_another_actor_shares_one_worker_with_it() {
    let rt = Runtime::builder().config(patient()).start().unwrap();
    let (tell, told) = sync_channel(1);
    let other = rt.spawn_fn(|_, _| {});
    let handle = rt.clone();
    let joiner = rt.spawn_fn(move |_, _| {
        handle.stop(other);
        tell.send(handle.join(other, Some(DEADLINE))).unwrap();
    });
    rt.send(joiner, "x").unwrap();
    // `NoProcess` where the end was quicker than the question.
    assert!(matches!(next(&told), Ok(ExitReason::Normal | ExitReason::NoProcess)));
    rt.shutdown(Duration::ZERO);
}

#[test]
fn a_handler_that_waits_for_room_shares_one_worker_with_who_makes_it() {
    let rt = Runtime::builder().config(patient()).start().unwrap();
    let (tell, told) = sync_channel(1000);
    let mailbox = Mailbox::Bounded { capacity: 2, overflow: Overflow::Block };
    let receiver = bytes_fn(move |message, _: &mut Context<'_>| tell.send(message).unwrap());
    let receiver =
        rt.spawn_behaviour(Box::new(receiver), SpawnOptions { mailbox, ..SpawnOptions::default() });
    let handle = rt.clone();
    let sender = rt.spawn_fn(move |_, _| {
        (0..1000).for_each(|n| handle.send_blocking(receiver, n.to_string(), DEADLINE).unwrap());
    });
    rt.send(sender, "x").unwrap();
    assert!((0..1000).all(|n| next(&told) == n.to_string()));
    rt.shutdown(Duration::ZERO);
}

#[test]
fn a_handler_that_waits_for_a_channel_shares_one_worker_with_its_senders() {
    let rt = Runtime::builder().workers(1).start().unwrap();
    let (tell, told) = sync_channel(1);
    let (answer, answers) = sync_channel(10);
    let senders = [(); 10].map(|()| {
        let answer = answer.clone();
        rt.spawn_fn(move |_, _| answer.send(()).unwrap())
    });
    let waiter = rt.spawn_fn(move |_, cx| {
        // The last lies in the worker's LIFO slot, the others in its queue.
        senders.iter().for_each(|pid| cx.send(*pid, "x").unwrap());
        senders.iter().for_each(|_| next(&answers));
        tell.send(()).unwrap();
    });
    rt.send(waiter, "x").unwrap();
    next(&told);
}

#[test]
fn a_handler_that_blocks_in_place_leaves_its_worker_to_others() {
    let rt = Runtime::builder().config(patient()).start().unwrap();
    let (pid, told) = echo(&rt, "");
    let (tell, heard) = sync_channel(10);
    let waiter = rt.spawn_fn(move |_, cx| {
        for n in 0..10 {
            cx.send(pid, n.to_string()).unwrap();
            tell.send(cx.block_in_place(|| next(&told))).unwrap();
        }
    });
    rt.send(waiter, "x").unwrap();
    assert!((0..10).all(|n| next(&heard) == n.to_string()));
}

#[test]
fn a_handler_that_blocks_in_place_may_ask_and_send_there_at_no_price() {
    let rt = Runtime::builder().config(patient()).start().unwrap();
    let (pid, told) = echo(&rt, "");
    let other = rt.spawn(Asker(None));
    let (tell, heard) = sync_channel(1);
    let waiter = rt.spawn_fn(move |_, cx| {
        // If each of these had to wait for the watchdog's next look they would not end in time.
        let answered = cx.block_in_place(|| {
            (0..5_000).all(|n| {
                cx.send(pid, n.to_string()).unwrap();
                next(&told) == n.to_string() && other.ask_blocking(|reply| reply, DEADLINE) == Ok(0)
            })
        });
        tell.send(answered).unwrap();
    });
    rt.send(waiter, "x").unwrap();
    assert!(next(&heard));
}

#[test]
fn a_handler_that_waits_for_a_closure_leaves_its_worker_to_others() {
    let rt = Runtime::builder().config(patient()).start().unwrap();
    let other = rt.spawn(Asker(None));
    let (tell, told) = sync_channel(1);
    let handle = rt.clone();
    let waiter = rt.spawn_fn(move |_, _| {
        let other = other.clone();
        let mut task = handle.spawn_blocking(move || other.ask_blocking(|reply| reply, DEADLINE)).unwrap();
        tell.send(task.wait(DEADLINE)).unwrap();
    });
    rt.send(waiter, "x").unwrap();
    assert_eq!(next(&told), Ok(Ok(0)));
    rt.shutdown(Duration::ZERO);
}

#[test]
fn a_shutdown_ends_what_waits_behind_handlers_that_never_return() {
    let rt = Runtime::builder().config(RuntimeConfig { spare_workers: 0, ..workers(1) }).start().unwrap();
    let options = |priority| {
        let mailbox = Mailbox::Bounded { capacity: 1, overflow: Overflow::Block };
        SpawnOptions { priority, mailbox, ..SpawnOptions::default() }
    };
    let (_stuck, go, _told) = held(&rt, "");
    let waiting = [Priority::High, Priority::Normal, Priority::Low].map(|priority| {
        let pid = rt.spawn_behaviour(Box::new(bytes_fn(|_, _| ())), options(priority));
        rt.send(pid, "fills the mailbox").unwrap();
        let (ended, handle) = (watch(&rt, pid), rt.clone());
        (ended, thread::spawn(move || handle.send_blocking(pid, "waits", 3 * DEADLINE)))
    });
    // The one in the held handler is none of them.
    assert_eq!(rt.shutdown(Duration::from_millis(1)), 3);
    for (ended, sender) in waiting {
        assert_eq!(next(&ended), ExitReason::Killed);
        assert!(matches!(sender.join().unwrap(), Err(SendError::NoProcess { .. })));
    }
    assert_eq!(rt.dead_letters(), 3);
    go.send(()).unwrap();
}

#[test]
fn a_handler_that_blocks_in_place_is_not_reported_as_stalled() {
    // Long enough that a handler which merely waits for a core is not taken for a stalled one.
    let (rt, reports) = reporting(RuntimeConfig { stall_after: Duration::from_millis(100), ..workers(1) });
    let (go, gate) = sync_channel::<()>(1);
    let waiter = rt.spawn_fn(move |_, cx| {
        cx.block_in_place(|| gate.recv()).unwrap();
        gate.recv().unwrap();
    });
    rt.send(waiter, "x").unwrap();
    let (other, go_other, _told) = held(&rt, "");
    for _ in 0..3 {
        assert!(matches!(next(&reports), Event::Stalled { pid, .. } if pid == other));
    }
    // Back on its worker it can stall like any other.
    go.send(()).unwrap();
    report(&reports, waiter).unwrap();
    go.send(()).unwrap();
    go_other.send(()).unwrap();
}

#[test]
fn actors_run_on_while_every_worker_is_held_up() {
    let (rt, _reports) = reporting(workers(2));
    let gates = [(); 4].map(|()| held(&rt, ""));
    let (pid, told) = echo(&rt, "");
    for n in 0..100 {
        rt.send(pid, n.to_string()).unwrap();
        assert_eq!(next(&told), n.to_string());
    }
    for (pid, go, told) in gates {
        go.send(()).unwrap();
        assert_eq!(next(&told), "first");
        let ended = watch(&rt, pid);
        rt.kill(pid);
        next(&ended);
    }
}

#[test]
fn no_more_spares_stand_in_than_configured() {
    let (rt, reports) = reporting(RuntimeConfig { spare_workers: 1, ..workers(1) });
    let [(first, go_first, _a), (second, go_second, _b)] = [(); 2].map(|()| held(&rt, ""));
    let (pid, told) = echo(&rt, "");
    rt.send(pid, "x").unwrap();
    for pid in [first, second] {
        for _ in 0..3 {
            report(&reports, pid).unwrap();
        }
    }
    assert!(told.try_recv().is_err(), "both threads are held up");
    go_first.send(()).unwrap();
    assert_eq!(next(&told), "x");
    go_second.send(()).unwrap();
}

/// Counts how many of its kind work at once.
struct Busy {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    done: SyncSender<()>,
}

impl Actor for Busy {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        thread::sleep(Duration::from_micros(50));
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.done.send(()).unwrap();
        Flow::Continue
    }
}

#[test]
fn as_many_spares_stand_in_as_are_needed_where_no_bound_is_set() {
    let rt = Runtime::builder().config(RuntimeConfig { spare_workers: usize::MAX, ..workers(1) });
    let rt = rt.start().unwrap();
    let _held = [(); 20].map(|()| held(&rt, ""));
    let (pid, told) = echo(&rt, "");
    rt.send(pid, "x").unwrap();
    assert_eq!(next(&told), "x");
}

#[test]
fn when_a_stalled_handler_returns_as_many_workers_run_as_before() {
    // Long enough that a handler which merely waits for a core is not taken for a stalled one.
    let rt =
        Runtime::builder().config(RuntimeConfig { stall_after: Duration::from_millis(300), ..workers(1) });
    let rt = rt.start().unwrap();
    let (inside, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (done, dones) = sync_channel(1000);
    let actors =
        [(); 20].map(|()| rt.spawn(Busy { inside: inside.clone(), most: most.clone(), done: done.clone() }));
    let round = || {
        most.store(0, Ordering::SeqCst);
        actors.iter().for_each(|actor| actor.send(()).unwrap());
        actors.iter().for_each(|_| next(&dones));
        most.load(Ordering::SeqCst)
    };
    for _ in 0..2 {
        let (pid, go, told) = held(&rt, "");
        assert_eq!(round(), 1, "one stands in for the one that is held");
        go.send(()).unwrap();
        assert_eq!(next(&told), "first");
        rt.stop(pid);
        eventually("one worker works", || round() == 1 && round() == 1);
    }
}

#[test]
fn a_stalled_handler_is_killed_once_it_returns() {
    let (rt, reports) = reporting(workers(1));
    let (pid, go, told) = held(&rt, "");
    rt.send(pid, "never").unwrap();
    report(&reports, pid).unwrap();
    let ended = watch(&rt, pid);
    rt.kill(pid);
    go.send(()).unwrap();
    assert_eq!(next(&ended), ExitReason::Killed);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["first"]);
}

#[test]
fn nothing_is_lost_while_handlers_stall_at_random() {
    let rt = Runtime::builder().workers(2).start().unwrap();
    let (tell, told) = sync_channel(10_000);
    let sum = Arc::new(Mutex::new(0_u64));
    let stall = Arc::new(AtomicBool::new(true));
    let actors: Vec<_> = (0..20_u64)
        .map(|number| {
            let (tell, sum, stall) = (tell.clone(), sum.clone(), stall.clone());
            rt.spawn_fn(move |message, _| {
                if message.len() == number as usize && stall.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(15));
                }
                *sum.lock().unwrap() += message.len() as u64;
                tell.send(()).unwrap();
            })
        })
        .collect();
    for size in 0..20 {
        actors.iter().for_each(|pid| rt.send(*pid, vec![0; size]).unwrap());
    }
    (0..400).for_each(|_| next(&told));
    assert_eq!(*sum.lock().unwrap(), 20 * 190);
    stall.store(false, Ordering::Relaxed);
    assert_eq!(rt.shutdown(DEADLINE), 0);
}
