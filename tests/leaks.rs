//! What ends leaves nothing behind: a million actors started and ended, and everything that hangs on them,
//! in memory that does not grow.
//!
//! One test, so that nothing else of this process allocates meanwhile. `MYRMIDON_LEAK_ROUNDS` sets how
//! many thousand actors there are.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::task::{Context as TaskContext, Waker};
use std::time::{Duration, Instant};

use common::{DEADLINE, eventually};
use myrmidon::actor::{Actor, ActorRef, AsyncActor, Context, Flow, Reply, SpawnOptions, bytes_fn};
use myrmidon::mailbox::{Mailbox, Overflow};
use myrmidon::{Pid, Runtime, Sim};

/// Thousands of actors.
const ROUNDS: usize = 1_000;
/// What the memory may grow by in all of them: a byte for each would be one megabyte, and the smallest
/// thing that could leak is many.
const ALLOWED: usize = 2 << 20;

struct Answers;

impl Actor for Answers {
    type Msg = Reply<u64>;

    fn handle(&mut self, reply: Reply<u64>, _: &mut Context<'_>) -> Flow {
        reply.send(7);
        Flow::Continue
    }
}

struct Sleeps;

impl AsyncActor for Sleeps {
    type Msg = u64;

    async fn handle(&mut self, _: u64, _: Pid) -> Flow {
        std::future::pending().await
    }
}

/// A thousand actors of all kinds that use everything there is, and end in all ways.
fn round(rt: &Runtime, watcher: Pid) {
    let plain: Vec<Pid> = (0..850).map(|_| rt.spawn_fn(|_, _| {})).collect();
    for (n, pid) in plain.iter().enumerate() {
        rt.send(*pid, vec![0_u8; n % 200]).unwrap();
        match n % 16 {
            0 => drop(rt.monitor(watcher, *pid)),
            1 => _ = rt.link(*pid, plain[n - 1]),
            2 => _ = rt.names().register(&format!("name {n}"), *pid),
            3 => _ = rt.timers().send_after(Duration::ZERO, *pid, "timer"),
            4 => _ = rt.hot_swap(*pid, Box::new(bytes_fn(|_, _| {}))).unwrap(),
            5 => drop(rt.on_exit(*pid, |_| {})),
            6 => _ = rt.timers().cancel(rt.timers().send_after(DEADLINE, *pid, "cancelled")),
            _ => {}
        }
    }
    let answers = rt.spawn(Answers);
    (0..50).for_each(|_| assert_eq!(answers.ask_blocking(|reply| reply, DEADLINE), Ok(7)));
    let parked = (0..98).map(|_| {
        let sleeps = rt.spawn_async(Sleeps, SpawnOptions::default());
        (0..2).for_each(|n| sleeps.send(n).unwrap());
        sleeps.pid()
    });
    let mut parked: Vec<Pid> = parked.collect();
    let mailbox = Mailbox::bounded(2).overflow(Overflow::Block);
    let bounded: Vec<_> = (0..50)
        .map(|_| rt.spawn_async(Sleeps, SpawnOptions { mailbox, ..SpawnOptions::default() }))
        .collect();
    parked.extend(bounded.iter().map(ActorRef::pid));
    // Some of them wait for room, until the end of the actor or until they are dropped.
    let mut cx = TaskContext::from_waker(Waker::noop());
    let mut sends: Vec<_> = bounded.iter().map(|sleeps| Box::pin(fill(sleeps))).collect();
    sends.iter_mut().for_each(|send| assert!(send.as_mut().poll(&mut cx).is_pending()));
    sends.truncate(25);
    let observed = rt.spawn_observed(SpawnOptions::default());
    rt.send(observed, "seen").unwrap();
    for (n, pid) in plain.into_iter().enumerate() {
        if n % 2 == 0 {
            rt.kill(pid)
        } else {
            rt.stop(pid)
        };
    }
    // A parked handler lets nothing but a kill through.
    parked.into_iter().chain([answers.pid(), observed]).for_each(|pid| _ = rt.kill(pid));
    eventually("all have ended", || rt.actors().len() == 1);
    // An actor is no longer listed a moment before those are told that waited for room in its mailbox.
    let deadline = Instant::now() + DEADLINE;
    while !sends.is_empty() {
        assert!(Instant::now() < deadline, "{} who wait were not told of the end", sends.len());
        sends.retain_mut(|send| send.as_mut().poll(&mut cx).is_pending());
        std::thread::yield_now();
    }
    rt.take_messages(observed);
}

async fn fill(sleeps: &ActorRef<u64>) {
    for n in 0.. {
        if sleeps.send_async(n).await.is_err() {
            return;
        }
    }
}

/// Bytes of memory that this process uses.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// How much memory `rounds` of `round` take beyond the first tenth, which fills pools and caches.
fn growth(rounds: usize, mut round: impl FnMut()) -> usize {
    (0..rounds / 10 + 1).for_each(|_| round());
    let before = resident();
    (0..rounds).for_each(|_| round());
    resident().saturating_sub(before)
}

#[test]
fn s40_g11_a_million_actors_leave_nothing_behind() {
    let rounds = std::env::var("MYRMIDON_LEAK_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let rt = common::runtime();
    let watcher = rt.spawn_fn(|_, _| {});
    let actors = growth(rounds, || round(&rt, watcher));
    let swaps = growth(rounds, || {
        (0..100).for_each(|_| _ = rt.hot_swap(watcher, Box::new(bytes_fn(|_, _| {}))).unwrap());
        let version = rt.version(watcher);
        rt.send(watcher, "x").unwrap();
        eventually("the swaps are done", || rt.mailbox_size(watcher) == Some(0));
        assert_eq!(rt.version(watcher), version);
    });
    let runtimes = growth(rounds / 10, || {
        let mut sim = Sim::new(1).unwrap();
        sim.runtime().send(sim.runtime().spawn_fn(|_, _| {}), "x").unwrap();
        sim.run();
    });
    let text = format!("growth by actors {actors}, by swaps {swaps}, by runtimes {runtimes} bytes");
    assert!(actors < ALLOWED && swaps < ALLOWED && runtimes < ALLOWED, "{text}");
    eprintln!("{text}");
}
