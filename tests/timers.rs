//! Timers and sleeping futures: on time, once, and no longer than their actor.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::task::{Context as TaskContext, Waker};
use std::time::{Duration, Instant};

use common::{DEADLINE, eventually, next, runtime};
use myrmidon::Pid;
use myrmidon::actor::{Actor, AsyncActor, Context, Flow, SpawnOptions};
use myrmidon::mailbox::{Payload, Value};
use myrmidon::timer::{TimerId, Timers};

const HOUR: Duration = Duration::from_secs(3600);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Counts how late its messages are, which carry the time before which they must not come.
struct Punctual(SyncSender<(u64, bool)>);

impl Actor for Punctual {
    type Msg = (u64, Instant);

    fn handle(&mut self, (number, not_before): Self::Msg, _: &mut Context<'_>) -> Flow {
        self.0.send((number, Instant::now() >= not_before)).unwrap();
        Flow::Continue
    }
}

#[test]
fn each_of_many_timers_goes_off_once_and_none_too_early() {
    const COUNT: u64 = 20_000;
    let rt = runtime();
    let (tell, told) = sync_channel(COUNT as usize);
    let actors: Vec<_> = (0..50).map(|_| rt.spawn(Punctual(tell.clone()))).collect();
    for number in 0..COUNT {
        let delay = Duration::from_micros(number * 7919 % 300_000);
        actors[number as usize % 50].send_after(delay, (number, Instant::now() + delay));
    }
    let mut seen: Vec<_> = (0..COUNT).map(|_| next(&told)).collect();
    assert!(seen.iter().all(|(_, late_enough)| *late_enough));
    seen.sort_unstable();
    assert!((0..COUNT).eq(seen.iter().map(|(number, _)| *number)));
    assert!(rt.timers().is_empty());
}

#[test]
fn timers_end_with_their_actor_at_once_and_drop_their_messages() {
    let rt = runtime();
    let (pid, other) = (rt.spawn_fn(|_, _| {}), rt.spawn_fn(|_, _| {}));
    let message = Arc::new(());
    for _ in 0..1000 {
        rt.timers().send_after(HOUR, pid, Payload::Value(Value::new(message.clone())));
    }
    rt.timers().send_interval(HOUR, pid, "never");
    let kept = rt.timers().send_after(HOUR, other, "kept");
    assert_eq!((rt.timers().len(), Arc::strong_count(&message)), (1002, 1001));
    rt.kill(pid);
    eventually("only the other's timer is left", || rt.timers().len() == 1);
    eventually("the messages are dropped", || Arc::strong_count(&message) == 1);
    assert_eq!(rt.dead_letters(), 0);
    assert!(rt.timers().cancel(kept));
}

#[test]
fn a_timer_for_the_dead_is_a_dead_letter_at_once() {
    let rt = runtime();
    let pid = rt.spawn_fn(|_, _| {});
    rt.kill(pid);
    rt.join(pid, Some(DEADLINE)).unwrap();
    let timer = rt.timers().send_after(HOUR, pid, "late");
    assert_eq!((rt.dead_letters(), rt.timers().len()), (1, 0));
    assert!(!rt.timers().cancel(timer));
}

#[test]
fn a_timer_set_while_its_actor_ends_does_not_outlive_it() {
    let rt = runtime();
    for _ in 0..3_000 {
        let pid = rt.spawn_fn(|_, _| {});
        std::thread::scope(|scope| {
            scope.spawn(|| rt.kill(pid));
            rt.timers().send_after(HOUR, pid, "x");
            rt.timers().send_after(HOUR, pid, "y");
        });
    }
    eventually("no timer is left", || rt.timers().is_empty());
}

#[test]
fn a_timer_is_either_cancelled_or_goes_off() {
    const COUNT: usize = 2_000;
    let rt = runtime();
    let (tell, told) = sync_channel(COUNT);
    let pid = rt.spawn_fn(move |_, _| tell.send(()).unwrap());
    let timers: Vec<_> = (0..COUNT).map(|_| rt.timers().send_after(ms(2), pid, "x")).collect();
    let mut cancelled = 0;
    for timer in timers.into_iter().rev() {
        cancelled += usize::from(rt.timers().cancel(timer));
        std::thread::yield_now();
    }
    (cancelled..COUNT).for_each(|_| next(&told));
    assert!(rt.timers().is_empty());
    rt.stop(pid);
    assert!(told.recv().is_err(), "none was both");
}

/// Reminds itself, and takes every second reminder back.
struct Forgetful(SyncSender<u32>, Option<TimerId>);

impl Actor for Forgetful {
    type Msg = u32;

    fn handle(&mut self, number: u32, cx: &mut Context<'_>) -> Flow {
        self.0.send(number).unwrap();
        if let Some(timer) = self.1.take() {
            assert!(cx.cancel_timer(timer) && !cx.cancel_timer(timer));
        }
        self.1 = Some(cx.send_after(HOUR, 1000));
        if number < 5 {
            cx.send_after(ms(1), number + 1);
        }
        Flow::Continue
    }
}

#[test]
fn an_actor_reminds_itself_with_messages_of_its_own_type() {
    let rt = runtime();
    let (tell, told) = sync_channel(10);
    let actor = rt.spawn(Forgetful(tell, None));
    actor.send_after(ms(1), 0);
    assert_eq!((0..6).map(|_| next(&told)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    eventually("one reminder is left", || rt.timers().len() == 1);
    rt.stop(actor.pid());
    eventually("and ends with it", || rt.timers().is_empty());
}

struct Sleeper(Timers, SyncSender<bool>);

impl AsyncActor for Sleeper {
    type Msg = Duration;

    async fn handle(&mut self, delay: Duration, _: Pid) -> Flow {
        let until = Instant::now() + delay;
        self.0.sleep(delay).await;
        self.1.send(Instant::now() >= until).unwrap();
        Flow::Continue
    }
}

#[test]
fn async_actors_sleep() {
    let rt = runtime();
    let (tell, told) = sync_channel(1000);
    for delay in 0..100 {
        let sleeper = rt.spawn_async(Sleeper(rt.timers().clone(), tell.clone()), SpawnOptions::default());
        sleeper.send(Duration::from_micros(delay * 300)).unwrap();
    }
    assert!((0..100).all(|_| next(&told)));
}

#[test]
fn a_sleep_wakes_whoever_polled_it_last_and_ends_with_its_runtime() {
    let rt = runtime();
    let mut sleep = pin!(rt.timers().sleep(ms(1)));
    // A first poll by somebody else, who is not to be woken.
    assert!(sleep.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
    block_on(sleep);
    let long = rt.timers().sleep(HOUR);
    let sleeper = std::thread::spawn(move || block_on(long));
    rt.shutdown(ms(0));
    sleeper.join().unwrap();
    block_on(rt.timers().sleep(HOUR));
}

/// Waits for a future outside of tokio's clock.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
