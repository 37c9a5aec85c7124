//! Who runs first: priorities, and turns for everyone where more is ready than a run queue holds.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use common::{eventually, held, next};
use myrmidon::actor::{Actor, Context, Flow, Priority, SpawnOptions, bytes_fn};
use myrmidon::config::RuntimeConfig;
use myrmidon::{Pid, Runtime};

fn with(priority: Priority) -> SpawnOptions {
    SpawnOptions { priority, ..SpawnOptions::default() }
}

/// One worker, so that only one actor runs at a time, and no spare that would stand in while a test holds it.
fn one_worker() -> Runtime {
    let config = RuntimeConfig { workers: 1, spare_workers: 0, ..RuntimeConfig::default() };
    Runtime::builder().config(config).start().unwrap()
}

#[test]
fn high_runs_before_normal_and_normal_before_low() {
    const EACH: usize = 40;
    let rt = one_worker();
    let (tell, told) = sync_channel(1000);
    let actors = |priority| -> Vec<Pid> {
        let actor = || {
            let tell = tell.clone();
            bytes_fn(move |_, cx: &mut Context<'_>| tell.send((priority, cx.pid())).unwrap())
        };
        (0..EACH).map(|_| rt.spawn_behaviour(Box::new(actor()), with(priority))).collect()
    };
    let order = [Priority::Low, Priority::Normal, Priority::High];
    let groups = order.map(actors);
    let (_, go, _told) = held(&rt, "");
    for pid in groups.iter().flatten() {
        rt.send(*pid, "x").unwrap();
    }
    drop(go);
    let ran: Vec<_> = (0..3 * EACH).map(|_| next(&told)).collect();
    for (priority, group) in order.into_iter().zip(&groups) {
        let in_order: Vec<_> = ran.iter().filter(|(of, _)| *of == priority).map(|(_, pid)| *pid).collect();
        assert_eq!(&in_order, group, "{priority:?} ones in the order in which they became ready");
    }
    let before_last = |last: Priority, other: Priority| {
        let end = ran.iter().rposition(|(of, _)| *of == last).unwrap();
        ran[..end].iter().filter(|(of, _)| *of == other).count()
    };
    // One of any eight turns is theirs.
    assert!(before_last(Priority::High, Priority::Normal) <= EACH / 6 + 2, "{ran:?}");
    assert!(before_last(Priority::High, Priority::Low) <= EACH / 6 + 2, "{ran:?}");
    assert!(before_last(Priority::Normal, Priority::Low) <= 2 * EACH / 6 + 2, "{ran:?}");
}

/// Counts its turns, and has another at once until it is told to stop.
struct Restless {
    turns: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Actor for Restless {
    type Msg = Bytes;

    fn handle(&mut self, message: Bytes, cx: &mut Context<'_>) -> Flow {
        self.turns.fetch_add(1, Ordering::Relaxed);
        if !self.stop.load(Ordering::Relaxed) {
            cx.send(cx.pid(), message).unwrap();
        }
        Flow::Continue
    }
}

/// Restless actors of these priorities, started together on one worker, and their turns when the first
/// of them has had `turns`.
fn turns_beside(first: Priority, others: [Priority; 2], turns: u64) -> [u64; 2] {
    let rt = one_worker();
    let stop = Arc::new(AtomicBool::new(false));
    let counts = others.map(|_| Arc::new(AtomicU64::new(0)));
    let [a, b] = [0, 1].map(|index| {
        let (turns, stop) = (counts[index].clone(), stop.clone());
        let options = SpawnOptions { budget: Some(1), ..with(others[index]) };
        rt.spawn_with(Restless { turns, stop }, options).pid()
    });
    let (done, finished) = sync_channel(1);
    let (stopping, seen) = (stop.clone(), counts.clone());
    let mut left = turns;
    let leader = bytes_fn(move |message, cx: &mut Context<'_>| {
        left -= 1;
        if left > 0 {
            return cx.send(cx.pid(), message).unwrap();
        }
        done.send(seen.each_ref().map(|count| count.load(Ordering::Relaxed))).unwrap();
        stopping.store(true, Ordering::Relaxed);
    });
    let leader = rt.spawn_behaviour(Box::new(leader), SpawnOptions { budget: Some(1), ..with(first) });
    let (_, go, _told) = held(&rt, "");
    for pid in [leader, a, b] {
        rt.send(pid, "x").unwrap();
    }
    drop(go);
    next(&finished)
}

#[test]
fn neither_normal_nor_low_starves_behind_high() {
    let [normal, low] = turns_beside(Priority::High, [Priority::Normal, Priority::Low], 6_000);
    for turns in [normal, low] {
        assert!((900..=1_100).contains(&turns), "one turn of eight each: {normal} normal, {low} low");
    }
}

#[test]
fn low_does_not_starve_behind_normal_and_takes_little() {
    let [low, also_low] = turns_beside(Priority::Normal, [Priority::Low, Priority::Low], 7_000);
    let sum = low + also_low;
    assert!((900..=1_100).contains(&sum), "one turn of eight: {sum}");
}

#[test]
fn an_actor_of_any_priority_runs_where_nothing_else_does() {
    let rt = one_worker();
    for priority in [Priority::Low, Priority::High, Priority::Low] {
        let (tell, told) = sync_channel(1);
        let pid = rt.spawn_behaviour(Box::new(bytes_fn(move |_, _| tell.send(()).unwrap())), with(priority));
        rt.send(pid, "x").unwrap();
        next(&told);
    }
}

/// Drops the last handle of its own runtime, and tells when it has ended itself.
struct Owner(Option<Runtime>, SyncSender<()>);

impl Actor for Owner {
    type Msg = Bytes;

    fn handle(&mut self, _: Bytes, _: &mut Context<'_>) -> Flow {
        drop(self.0.take());
        Flow::Continue
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.1.send(()).unwrap();
    }
}

#[test]
fn an_actor_of_any_priority_ends_when_it_drops_its_own_runtime() {
    for priority in [Priority::High, Priority::Low] {
        let rt = one_worker();
        let (tell, told) = sync_channel(1);
        let owner = rt.spawn_with(Owner(Some(rt.clone()), tell), with(priority));
        drop(rt);
        owner.send(Bytes::new()).unwrap();
        next(&told);
    }
}

/// Starts actors and waits in its handler until each of them has run.
#[test]
fn others_run_everything_that_a_worker_held_up_in_a_handler_has_made_ready() {
    const ACTORS: u64 = 3_000;
    let rt = Runtime::builder().workers(2).start().unwrap();
    let (tell, told) = sync_channel(1);
    let holder = rt.spawn_fn(move |_, cx: &mut Context<'_>| {
        let ran = Arc::new(AtomicU64::new(0));
        for _ in 0..ACTORS {
            let ran = ran.clone();
            let count = bytes_fn(move |_, _| _ = ran.fetch_add(1, Ordering::Relaxed));
            let pid = cx.spawn(Box::new(count), SpawnOptions::default());
            cx.send(pid, "x").unwrap();
        }
        eventually("all have run", || ran.load(Ordering::Relaxed) == ACTORS);
        tell.send(()).unwrap();
    });
    rt.send(holder, "x").unwrap();
    next(&told);
}

#[test]
fn everyone_has_turns_where_more_is_ready_than_a_run_queue_holds() {
    everyone_has_turns(RuntimeConfig::default().slice);
}

#[test]
fn everyone_has_turns_also_where_slices_are_ended_by_budget_alone() {
    everyone_has_turns(Duration::MAX);
}

fn everyone_has_turns(slice: Duration) {
    let config = RuntimeConfig { workers: 1, spare_workers: 0, slice, ..RuntimeConfig::default() };
    let rt = Runtime::builder().config(config).start().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let counts: Vec<_> = (0..2_000).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let options = || SpawnOptions { budget: Some(1), ..SpawnOptions::default() };
    for turns in &counts {
        let actor = Restless { turns: turns.clone(), stop: stop.clone() };
        rt.spawn_with(actor, options()).send(Bytes::new()).unwrap();
    }
    eventually("everyone has had ten turns", || {
        counts.iter().all(|turns| turns.load(Ordering::Relaxed) >= 10)
    });
    stop.store(true, Ordering::Relaxed);
}

#[test]
fn actors_of_a_lane_take_turns_by_the_same_rule() {
    const EACH: usize = 40;
    let rt = one_worker();
    let lane = rt.open_lane("test");
    let (tell, told) = sync_channel(1000);
    for priority in [Priority::Low, Priority::Normal, Priority::High] {
        for _ in 0..EACH {
            let tell = tell.clone();
            let actor = bytes_fn(move |_, _: &mut Context<'_>| tell.send(priority).unwrap());
            let pid = rt.spawn_behaviour(Box::new(actor), SpawnOptions { lane: lane.id(), ..with(priority) });
            rt.send(pid, "x").unwrap();
        }
    }
    while lane.run(Duration::from_secs(1), || true) > 0 {}
    let ran: Vec<_> = told.try_iter().collect();
    assert_eq!(ran.len(), 3 * EACH, "nobody is forgotten");
    let last = |priority| ran.iter().rposition(|of| *of == priority).unwrap();
    let others = ran[..last(Priority::High)].iter().filter(|of| **of != Priority::High).count();
    assert!((1..=EACH / 3 + 2).contains(&others), "{others} of {ran:?}");
    assert_eq!(last(Priority::Low), 3 * EACH - 1);
}
