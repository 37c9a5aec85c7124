//! What can be asked about actors and names.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::time::Duration;

use common::{DEADLINE, echo, eventually, held, held_with, runtime};
use myrmidon::actor::{ActorBonds, Priority, SpawnOptions, bytes_fn};
use myrmidon::mailbox::Mailbox;
use myrmidon::runtime::InspectError;

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
    assert_eq!(rt.top(2).iter().map(|info| info.pid).collect::<Vec<_>>(), [long, short]);
    assert_eq!(rt.top(10).len(), 3);
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
