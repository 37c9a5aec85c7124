//! Links, monitors, exit signals, names, timers, observers: how actors hear of each other.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{DEADLINE, echo, eventually, held, next, runtime, watch};
use myrmidon::actor::{ExitCause, ExitReason, MonitorRef, Observed, SpawnOptions, SystemMessage, bytes_fn};
use myrmidon::error::RegisterError;
use myrmidon::{Pid, Runtime};

/// Everything the observer receives until it has `count` things.
fn received(rt: &Runtime, observer: Pid, count: usize) -> Vec<Observed> {
    let all = std::cell::RefCell::new(Vec::new());
    eventually("the observer has received it", || {
        all.borrow_mut().extend(rt.take_messages(observer).unwrap());
        all.borrow().len() >= count
    });
    all.into_inner()
}

fn downs(messages: &[Observed]) -> Vec<(MonitorRef, Pid, ExitReason)> {
    messages
        .iter()
        .filter_map(|message| match message {
            Observed::System(SystemMessage::Exit { target, reason, cause: ExitCause::Monitor(monitor) }) => {
                Some((*monitor, *target, reason.clone()))
            }
            _ => None,
        })
        .collect()
}

fn observer(rt: &Runtime) -> Pid {
    rt.spawn_observed(SpawnOptions::default())
}

fn crash(rt: &Runtime, pid: Pid) {
    rt.send(pid, "stop").unwrap();
}

fn crashed() -> ExitReason {
    ExitReason::Other("as asked".to_owned())
}

#[test]
fn s24_s26_every_monitor_gives_one_down_also_of_the_dead() {
    let rt = runtime();
    let watcher = observer(&rt);
    let (target, _told) = echo(&rt, "");
    let monitors = [rt.monitor(watcher, target), rt.monitor(watcher, target)];
    crash(&rt, target);
    let mut seen = downs(&received(&rt, watcher, 2));
    seen.sort_by_key(|down| down.0);
    assert_eq!(seen, monitors.map(|monitor| (monitor, target, crashed())));
    let late = rt.monitor(watcher, target);
    assert_eq!(downs(&received(&rt, watcher, 1)), [(late, target, ExitReason::NoProcess)]);
}

#[test]
fn s27_a_demonitored_actor_gives_no_down() {
    let rt = runtime();
    let watcher = observer(&rt);
    let (target, _told) = echo(&rt, "");
    let (first, second) = (rt.monitor(watcher, target), rt.monitor(watcher, target));
    rt.demonitor(watcher, first);
    crash(&rt, target);
    assert_eq!(downs(&received(&rt, watcher, 1)), [(second, target, crashed())]);
    assert!(rt.take_messages(watcher).unwrap().is_empty());
}

#[test]
fn s29_messages_sent_before_the_end_come_before_the_down() {
    let rt = runtime();
    for count in [0_usize, 1, 63, 64, 2_000] {
        let watcher = observer(&rt);
        let target = rt.spawn_fn(move |_, cx: &mut myrmidon::actor::Context<'_>| {
            for n in 0..count {
                cx.send(watcher, n.to_string()).unwrap();
            }
            myrmidon::actor::Flow::Stop(ExitReason::Normal)
        });
        rt.monitor(watcher, target);
        rt.send(target, "go").unwrap();
        let messages = received(&rt, watcher, count + 1);
        assert!(messages[..count].iter().all(|m| matches!(m, Observed::Message(_))));
        assert_eq!(downs(&messages[count..]).len(), 1);
    }
}

#[test]
fn s32_a_link_goes_both_ways_and_one_unlink_removes_it() {
    let rt = runtime();
    let pair = || (echo(&rt, "").0, echo(&rt, "").0);
    let (a, b) = pair();
    rt.link(a, b);
    rt.link(a, b);
    let ended = watch(&rt, a);
    rt.kill(b);
    assert_eq!(next(&ended), ExitReason::Killed);

    let (a, b) = pair();
    let ended = watch(&rt, a);
    rt.link(a, b);
    rt.unlink(b, a);
    crash(&rt, b);
    rt.join(b, Some(DEADLINE)).unwrap();
    rt.stop(a);
    assert_eq!(next(&ended), ExitReason::Normal, "the unlinked one lived on");
}

#[test]
fn s33_linking_to_the_dead_is_an_exit_noproc() {
    let rt = runtime();
    let (dead, _told) = echo(&rt, "");
    rt.kill(dead);
    rt.join(dead, Some(DEADLINE)).unwrap();
    let (a, _told) = echo(&rt, "");
    let ended = watch(&rt, a);
    rt.link(a, dead);
    assert_eq!(next(&ended), ExitReason::NoProcess);
    let trapping = observer(&rt);
    rt.link(trapping, dead);
    assert!(matches!(
        &received(&rt, trapping, 1)[..],
        [Observed::System(SystemMessage::Exit { target, reason: ExitReason::NoProcess, .. })] if *target == dead
    ));
}

#[test]
fn s34_exit_signals_are_dropped_delivered_or_deadly_by_the_matrix() {
    let rt = runtime();
    let survives = |reason: ExitReason| {
        let (pid, told) = echo(&rt, "");
        rt.exit(pid, reason);
        rt.send(pid, "still here").is_ok() && told.recv_timeout(Duration::from_millis(300)).is_ok()
    };
    assert!(survives(ExitReason::Normal), "normal from another is dropped");
    assert!(!survives(ExitReason::Shutdown));
    assert!(!survives(crashed()));
    assert!(!survives(ExitReason::Kill));

    for (reason, trapped) in [
        (ExitReason::Normal, true),
        (ExitReason::Shutdown, true),
        (crashed(), true),
        (ExitReason::Kill, false),
    ] {
        let trapping = observer(&rt);
        let ended = watch(&rt, trapping);
        rt.exit(trapping, reason.clone());
        if trapped {
            assert_eq!(received(&rt, trapping, 1).len(), 1, "{reason}");
        } else {
            assert_eq!(next(&ended), ExitReason::Killed, "an explicit kill cannot be trapped");
        }
    }
    // A kill that comes through a link is an exit like any other, and can be trapped.
    let trapping = observer(&rt);
    let (linked, _told) = echo(&rt, "");
    rt.link(trapping, linked);
    rt.kill(linked);
    assert_eq!(received(&rt, trapping, 1).len(), 1);
}

#[test]
fn s35_a_child_that_dies_in_its_first_instruction_is_seen() {
    let rt = runtime();
    for _ in 0..200 {
        let parent = observer(&rt);
        let options = SpawnOptions { linked: Some(parent), ..SpawnOptions::default() };
        struct Stillborn;
        impl myrmidon::actor::Actor for Stillborn {
            type Msg = bytes::Bytes;
            fn started(&mut self, _: &mut myrmidon::actor::Context<'_>) -> myrmidon::actor::Flow {
                panic!("at once")
            }
            fn handle(
                &mut self,
                _: bytes::Bytes,
                _: &mut myrmidon::actor::Context<'_>,
            ) -> myrmidon::actor::Flow {
                unreachable!("it never lived")
            }
        }
        let child = rt.spawn_with(Stillborn, options).pid();
        assert!(matches!(
            &received(&rt, parent, 1)[..],
            [Observed::System(SystemMessage::Exit { target, reason: ExitReason::Panic(_), .. })] if *target == child
        ));
        rt.kill(parent);
    }
}

#[test]
fn s31_s37_a_name_has_one_living_owner_and_is_free_when_its_end_is_known() {
    let rt = runtime();
    let (first, _told) = echo(&rt, "");
    let (second, _told) = echo(&rt, "");
    rt.names().register("svc", first).unwrap();
    rt.names().register("svc", first).unwrap();
    assert_eq!(
        rt.names().register("svc", second),
        Err(RegisterError::Taken { name: "svc".to_owned(), owner: first })
    );
    assert_eq!(rt.names().whereis("svc"), Some(first));
    for _ in 0..200 {
        let (owner, _told) = echo(&rt, "");
        rt.names().register("mine", owner).unwrap();
        let ended = watch(&rt, owner);
        rt.kill(owner);
        next(&ended);
        rt.names().register("mine", second).unwrap();
        assert!(rt.names().unregister("mine"));
    }
    assert!(!rt.names().unregister("mine"));
    rt.kill(first);
    rt.join(first, Some(DEADLINE)).unwrap();
    assert_eq!(rt.names().whereis("svc"), None);
    assert_eq!(rt.names().register("late", first), Err(RegisterError::NoProcess(first)));
    for bad in [String::new(), "\0x".to_owned(), "n".repeat(256)] {
        assert!(matches!(rt.names().register(&bad, second), Err(RegisterError::BadName { .. })));
    }
}

#[test]
fn timers_send_once_or_again_until_cancelled() {
    let rt = runtime();
    let (pid, told) = echo(&rt, "");
    rt.timers().send_after(Duration::from_millis(20), pid, "later");
    rt.timers().send_after(Duration::from_millis(5), pid, "sooner");
    assert_eq!((next(&told), next(&told)), ("sooner".to_owned(), "later".to_owned()));
    let cancelled = rt.timers().send_after(Duration::from_secs(3600), pid, "never");
    assert!(rt.timers().cancel(cancelled));
    assert!(!rt.timers().cancel(cancelled));
    let every = rt.timers().send_interval(Duration::from_millis(2), pid, "tick");
    (0..5).for_each(|_| assert_eq!(next(&told), "tick"));
    assert!(rt.timers().cancel(every));
    rt.timers().send_interval(Duration::from_millis(1), pid, "tock");
    rt.kill(pid);
    eventually("an interval ends with its actor", || rt.timers().is_empty());
}

#[test]
fn an_observer_keeps_messages_swaps_and_pings_in_order() {
    let rt = runtime();
    let watcher = observer(&rt);
    rt.send(watcher, "data").unwrap();
    rt.hot_swap(watcher, Box::new(bytes_fn(|_, _| {}))).unwrap();
    assert!(matches!(
        &received(&rt, watcher, 2)[..],
        [Observed::Message(_), Observed::System(SystemMessage::HotSwap { target, version: 2, error: None })]
            if *target == watcher
    ));

    let (a, b) = (observer(&rt), observer(&rt));
    assert!(rt.ping(b, a));
    assert!(matches!(
        &received(&rt, b, 1)[..],
        [Observed::System(SystemMessage::Ping { from })] if *from == a
    ));
    assert!(matches!(
        &received(&rt, a, 1)[..],
        [Observed::System(SystemMessage::Pong { from })] if *from == b
    ));
    assert!(rt.take_messages(echo(&rt, "").0).is_none());
}

#[test]
fn an_exit_overtakes_the_queue_of_an_actor_that_does_not_trap() {
    let rt = runtime();
    let (pid, go, told) = held(&rt, "");
    for n in 0..100 {
        rt.send(pid, n.to_string()).unwrap();
    }
    let ended = watch(&rt, pid);
    rt.exit(pid, crashed());
    go.send(()).unwrap();
    assert_eq!(next(&ended), crashed());
    assert_eq!(told.iter().count(), 1);
}
