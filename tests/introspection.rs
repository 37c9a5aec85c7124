//! What can be asked about actors and names.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::{Duration, Instant};

use common::{DEADLINE, echo, eventually, held, held_with, runtime};
use myrmidon::actor::{ActorBonds, ActorInfo, Flow, Priority, SpawnOptions, TopBy, bytes_fn};
use myrmidon::mailbox::Mailbox;
use myrmidon::runtime::InspectError;
use myrmidon::{Pid, Runtime};

#[test]
fn an_actor_can_be_looked_at_without_asking_it() {
    let rt = runtime();
    let mailbox = Mailbox::bounded(3);
    let options = SpawnOptions { mailbox, priority: Priority::High, ..SpawnOptions::default() };
    let (pid, go, _told) = held_with(&rt, "", options);
    rt.names().register("/svc/pay/1", pid).unwrap();
    rt.names().register("pay", pid).unwrap();
    for message in ["second", "third"] {
        rt.send(pid, message).unwrap();
    }
    rt.hot_swap(pid, Box::new(bytes_fn(|_, _| ()))).unwrap();
    let info = rt.info(pid).unwrap();
    assert_eq!((info.pid, info.version, info.mailbox_size, info.mailbox_capacity), (pid, 2, 2, Some(3)));
    assert_eq!(info.names, ["/svc/pay/1", "pay"]);
    assert_eq!((info.priority, info.idle, info.supervised), (Priority::High, false, false));
    drop(go);
    eventually("it is idle", || rt.info(pid).unwrap().idle);
    rt.kill(pid);
    rt.join(pid, Some(DEADLINE)).unwrap();
    assert_eq!(rt.info(pid), None);
}

#[test]
fn the_longest_mailboxes_are_on_top() {
    let rt = runtime();
    let (long, _long, _) = held(&rt, "");
    let (short, _short, _) = held(&rt, "");
    let _empty = echo(&rt, "");
    for _ in 0..5 {
        rt.send(long, "x").unwrap();
    }
    rt.send(short, "x").unwrap();
    rt.send(short, "x").unwrap();
    assert_eq!(pids(&rt.top(TopBy::MailboxSize, 2)), [long, short]);
    assert_eq!(rt.top(TopBy::MailboxSize, 10).len(), 3);
}

fn pids(infos: &[ActorInfo]) -> Vec<Pid> {
    infos.iter().map(|info| info.pid).collect()
}

/// Spins as long as each message says, in milliseconds.
fn spinner(rt: &Runtime) -> Pid {
    rt.spawn_fn(|message, _| {
        let text = String::from_utf8_lossy(&message).into_owned();
        let end = Instant::now() + Duration::from_millis(text.parse().unwrap());
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        Flow::Continue
    })
}

fn handled(rt: &Runtime, pid: Pid, reductions: u64) {
    eventually("all is handled", || {
        rt.info(pid).is_some_and(|info| info.idle && info.reductions == reductions)
    });
}

#[test]
fn reductions_count_messages_and_what_handlers_consume() {
    let rt = runtime();
    let plain = spinner(&rt);
    let eager = rt.spawn_fn(|_, cx| {
        cx.consume(9);
        Flow::Continue
    });
    for _ in 0..500 {
        rt.send(plain, "0").unwrap();
    }
    for _ in 0..60 {
        rt.send(eager, "x").unwrap();
    }
    handled(&rt, plain, 500);
    handled(&rt, eager, 600);
    assert_eq!(pids(&rt.top(TopBy::Reductions, 2)), [eager, plain]);
    // A swap counts as one.
    rt.hot_swap(plain, Box::new(bytes_fn(|_, _| ()))).unwrap();
    handled(&rt, plain, 501);
    rt.kill(eager);
    rt.join(eager, Some(DEADLINE)).unwrap();
    assert_eq!(pids(&rt.top(TopBy::Reductions, 2)), [plain]);
    // Whoever takes its place begins anew.
    let next: Vec<_> = (0..3).map(|_| spinner(&rt)).collect();
    assert!(next.iter().all(|pid| rt.info(*pid).unwrap().reductions == 0));
}

#[test]
fn run_time_is_that_of_who_keeps_a_worker_busy() {
    let rt = runtime();
    let (busy, quick) = (spinner(&rt), spinner(&rt));
    rt.send(busy, "500").unwrap();
    rt.send(quick, "0").unwrap();
    handled(&rt, busy, 1);
    handled(&rt, quick, 1);
    let top = rt.top(TopBy::RunTime, 2);
    assert_eq!(pids(&top), [busy, quick]);
    assert!(top[0].run_time >= Duration::from_millis(50), "{:?}", top[0]);
    assert!(top[0].run_time > top[1].run_time);
}

#[test]
fn what_was_done_since_a_moment_is_told_apart() {
    let rt = runtime();
    let (before, after) = (spinner(&rt), spinner(&rt));
    for _ in 0..100 {
        rt.send(before, "1").unwrap();
    }
    handled(&rt, before, 100);
    let load = rt.load();
    let (newcomer, _) = echo(&rt, "");
    for _ in 0..3 {
        rt.send(after, "30").unwrap();
    }
    rt.send(newcomer, "x").unwrap();
    handled(&rt, after, 3);
    handled(&rt, newcomer, 1);
    let top = rt.top_since(&load, TopBy::Reductions, 3);
    let seen: Vec<_> = top.iter().map(|info| (info.pid, info.reductions)).collect();
    assert_eq!(seen, [(after, 3), (newcomer, 1), (before, 0)]);
    let top = rt.top_since(&load, TopBy::RunTime, 1);
    assert_eq!(pids(&top), [after]);
    assert!(rt.info(before).unwrap().run_time > Duration::ZERO);
}

#[test]
fn s41_an_actor_tells_its_bonds_before_its_next_message() {
    let rt = runtime();
    let (pid, go, _told) = held(&rt, "");
    let (friend, _) = echo(&rt, "");
    rt.link(pid, friend);
    rt.monitor(pid, friend);
    rt.monitor(friend, pid);
    rt.trap_exit(pid, true);
    rt.hot_swap(pid, Box::new(bytes_fn(|_, _| ()))).unwrap();
    assert_eq!(rt.bonds(pid, Duration::from_millis(5)), Err(InspectError::Timeout(pid)));
    drop(go);
    eventually("it was swapped", || rt.bonds(pid, DEADLINE).unwrap().version == 2);
    let bonds = rt.bonds(pid, DEADLINE).unwrap();
    let ActorBonds { links, monitors, monitored_by, trap_exit, history, .. } = bonds;
    assert_eq!((links, monitors, monitored_by), (vec![friend], vec![friend], vec![friend]));
    assert_eq!((trap_exit, history), (true, vec![1]));
    rt.kill(friend);
    eventually("the bonds are gone", || rt.bonds(pid, DEADLINE).unwrap().links.is_empty());
    rt.kill(pid);
    rt.join(pid, Some(DEADLINE)).unwrap();
    assert_eq!(rt.bonds(pid, DEADLINE), Err(InspectError::NoProcess(pid)));
}

#[test]
fn names_are_paths_whose_children_can_be_listed() {
    let rt = runtime();
    let names = rt.names();
    let mut pids = Vec::new();
    for name in
        ["/svc/pay/2", "/svc/pay/1", "/svc/pay/1/log", "/svc/payment", "/svc/pay", "other", "/svc/pay/"]
    {
        let (pid, _) = echo(&rt, "");
        names.register(name, pid).unwrap();
        pids.push(pid);
    }
    let expected = vec![("/svc/pay/1".to_owned(), pids[1]), ("/svc/pay/2".to_owned(), pids[0])];
    assert_eq!(names.children("/svc/pay"), expected);
    assert_eq!(names.children("/svc/pay/"), expected);
    assert_eq!(names.list("/svc/pay/").len(), 4);
    assert_eq!(names.list("").len(), 7);
    rt.kill(pids[1]);
    eventually("its name is free", || names.children("/svc/pay").len() == 1);
}
