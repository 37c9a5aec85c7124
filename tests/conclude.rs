//! Behaviours whose work goes on outside of their turns: they finish it before a stop or a swap, end from
//! elsewhere, and may belong to another lane.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use myrmidon::Runtime;
use myrmidon::actor::{Behaviour, Context, ExitReason, Flow, SpawnOptions, bytes_fn};
use myrmidon::mailbox::Payload;

const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

/// Accepts messages at once; somebody else handles them when it likes.
#[derive(Clone, Default)]
struct Elsewhere(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    begun: VecDeque<Vec<u8>>,
    waiting: Option<Waker>,
    cancelled: bool,
}

impl Elsewhere {
    fn begun(&self) -> usize {
        self.0.lock().unwrap().begun.len()
    }

    fn concludes(&self) -> bool {
        self.0.lock().unwrap().waiting.is_some()
    }

    fn finish_one(&self) -> Option<Vec<u8>> {
        let mut state = self.0.lock().unwrap();
        let done = state.begun.pop_front();
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
        done
    }

    fn look(&self, cx: &Context<'_>) -> Flow {
        let mut state = self.0.lock().unwrap();
        if state.begun.is_empty() {
            return Flow::Continue;
        }
        state.waiting = Some(cx.waker());
        Flow::Waiting
    }
}

impl Behaviour for Elsewhere {
    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        self.0.lock().unwrap().begun.push_back(message.into_bytes().unwrap().to_vec());
        Flow::Continue
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Flow {
        self.look(cx)
    }

    fn conclude(&mut self, cx: &mut Context<'_>) -> Flow {
        self.look(cx)
    }

    fn cancel(&mut self) {
        self.0.lock().unwrap().cancelled = true;
    }
}

fn eventually(condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + LIMIT.unwrap();
    while !condition() {
        assert!(std::time::Instant::now() < end, "not so in time");
        std::thread::yield_now();
    }
}

#[test]
fn a_stop_waits_until_what_was_begun_is_finished() {
    let rt = Runtime::new().unwrap();
    let work = Elsewhere::default();
    let pid = rt.spawn_behaviour(Box::new(work.clone()), SpawnOptions::default());
    for message in ["a", "b", "c"] {
        rt.send(pid, message).unwrap();
    }
    rt.stop(pid);
    eventually(|| work.concludes());
    for left in [b"a", b"b", b"c"] {
        assert!(rt.is_alive(pid));
        assert_eq!(work.finish_one().unwrap(), left);
        eventually(|| work.concludes() || work.begun() == 0);
    }
    assert!(matches!(rt.join(pid, LIMIT), Ok(ExitReason::Normal | ExitReason::NoProcess)));
    assert!(!work.0.lock().unwrap().cancelled);
}

#[test]
fn d5_swaps_and_a_rollback_wait_in_the_order_in_which_they_came() {
    let rt = Runtime::new().unwrap();
    let work = Elsewhere::default();
    let pid = rt.spawn_behaviour(Box::new(work.clone()), SpawnOptions::default());
    let (tell, told) = sync_channel(16);
    let tells = |name: &'static str, tell: &SyncSender<String>| {
        let tell = tell.clone();
        Box::new(bytes_fn(move |bytes, _| tell.send(format!("{name} {bytes:?}")).unwrap()))
    };
    rt.send(pid, "old").unwrap();
    rt.hot_swap(pid, tells("first", &tell)).unwrap();
    rt.send(pid, "one").unwrap();
    eventually(|| work.concludes());
    // It overtakes the message, but not the swap that has begun.
    rt.hot_swap_now(pid, tells("second", &tell)).unwrap();
    assert!(told.try_recv().is_err());
    assert_eq!(work.finish_one().unwrap(), b"old");
    assert_eq!(told.recv_timeout(LIMIT.unwrap()).unwrap(), "second b\"one\"");
    rt.rollback(pid).unwrap();
    rt.rollback(pid).unwrap();
    rt.send(pid, "old again").unwrap();
    eventually(|| work.begun() == 1);
}

#[test]
fn s41_a_kill_does_not_wait() {
    let rt = Runtime::new().unwrap();
    let work = Elsewhere::default();
    let pid = rt.spawn_behaviour(Box::new(work.clone()), SpawnOptions::default());
    rt.send(pid, "a").unwrap();
    rt.stop(pid);
    eventually(|| work.concludes());
    rt.kill(pid);
    assert!(matches!(rt.join(pid, LIMIT), Ok(ExitReason::Killed | ExitReason::NoProcess)));
    assert!(work.0.lock().unwrap().cancelled);
}

#[test]
fn an_actor_may_end_from_outside_with_a_reason_also_if_it_traps_exits() {
    let rt = Runtime::new().unwrap();
    let options = SpawnOptions { trap_exit: true, ..SpawnOptions::default() };
    let pid = rt.spawn_behaviour(Box::new(Elsewhere::default()), options);
    let (tell, told) = sync_channel(16);
    rt.on_exit(pid, move |reason| tell.send(reason.clone()).unwrap());
    assert!(rt.end(pid, ExitReason::Other("its code has ended".to_owned()), false));
    assert_eq!(
        told.recv_timeout(LIMIT.unwrap()).unwrap(),
        ExitReason::Other("its code has ended".to_owned())
    );
    assert!(!rt.end(pid, ExitReason::Normal, false));
}

/// Tells on which thread it runs, and asks for a lane.
struct On(u32, SyncSender<(String, Option<String>)>);

impl Behaviour for On {
    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        let text = String::from_utf8(message.into_bytes().unwrap().to_vec()).unwrap();
        self.1.send((text, std::thread::current().name().map(str::to_owned))).unwrap();
        Flow::Continue
    }

    fn lane(&self, _: u32) -> u32 {
        self.0
    }
}

#[test]
fn new_code_runs_on_the_lane_that_it_asks_for() {
    let rt = Runtime::new().unwrap();
    let lane = rt.open_lane("apart");
    let (tell, told) = sync_channel(16);
    let pid = rt.spawn_behaviour(Box::new(On(0, tell.clone())), SpawnOptions::default());
    rt.send(pid, "worker").unwrap();
    rt.hot_swap(pid, Box::new(On(lane.id(), tell.clone()))).unwrap();
    rt.send(pid, "lane").unwrap();
    rt.hot_swap(pid, Box::new(On(0, tell))).unwrap();
    rt.send(pid, "worker again").unwrap();

    let driven = lane.clone();
    let driver = std::thread::Builder::new().name("driver".to_owned());
    let driver = driver.spawn(move || {
        while !driven.is_closed() {
            driven.wait(None);
            driven.run(Duration::from_millis(1), || true);
        }
    });
    let next = || told.recv_timeout(LIMIT.unwrap()).unwrap();
    let (first, second, third) = (next(), next(), next());
    assert_eq!((first.0.as_str(), second.0.as_str(), third.0.as_str()), ("worker", "lane", "worker again"));
    assert_eq!(second.1.as_deref(), Some("driver"));
    assert_ne!(first.1.as_deref(), Some("driver"));
    assert_ne!(third.1.as_deref(), Some("driver"));
    lane.close();
    driver.unwrap().join().unwrap();
}
