//! `supervise_with_factory` and `watch` as a user sees them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use common::{crash_recorder, echo, eventually, runtime};
use myrmidon::runtime::{Event, SuperviseError};
use myrmidon::supervision::{Factory, Strategy};
use myrmidon::{Pid, Runtime};

/// A factory of echo actors that counts its runs.
fn factory(rt: &Runtime) -> (Factory, Arc<AtomicU32>) {
    let (runs, rt) = (Arc::new(AtomicU32::new(0)), rt.clone());
    let counted = runs.clone();
    let factory: Factory = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(Some(rt.spawn_fn(|message, _| assert!(message != "panic", "as ordered"))))
    });
    (factory, runs)
}

/// Waits until the only child is another one than `old`, and returns it.
fn child_after(rt: &Runtime, index: usize, old: Pid) -> Pid {
    let child = || rt.supervisor().child_pids().get(index).copied();
    eventually("the child was restarted", || child().is_some_and(|pid| pid != old && rt.is_alive(pid)));
    child().unwrap()
}

#[test]
fn without_remote_monitors_the_factory_runs_once_and_its_actor_is_the_child() {
    let rt = runtime();
    let (pid, _told) = echo(&rt, "");
    let (factory, runs) = factory(&rt);
    rt.supervisor().supervise_with_factory(pid, factory, Strategy::RestartOne).unwrap();
    let child = child_after(&rt, 0, pid);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(rt.supervisor().children_count(), 1);
    rt.send(child, "panic").unwrap();
    let second = child_after(&rt, 0, child);
    rt.kill(second);
    child_after(&rt, 0, second);
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[test]
fn stop_ends_the_supervision_by_either_pid() {
    let rt = runtime();
    for by_registered in [true, false] {
        let (pid, _told) = echo(&rt, "");
        let (factory, runs) = factory(&rt);
        rt.supervisor().supervise_with_factory(pid, factory, Strategy::RestartOne).unwrap();
        let child = child_after(&rt, 0, pid);
        assert!(rt.stop(if by_registered { pid } else { child }));
        eventually("the child has ended", || !rt.is_alive(child));
        assert_eq!(rt.supervisor().children_count(), 0);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn s05_restart_all_restarts_its_siblings_and_leaves_the_others() {
    let rt = runtime();
    let (factory, _runs) = factory(&rt);
    let supervise = |strategy| {
        let (pid, _told) = echo(&rt, "");
        let index = rt.supervisor().children_count();
        rt.supervisor().supervise_with_factory(pid, factory.clone(), strategy).unwrap();
        child_after(&rt, index, pid)
    };
    let all = [supervise(Strategy::RestartAll), supervise(Strategy::RestartAll)];
    let alone = supervise(Strategy::RestartOne);
    rt.send(all[1], "panic").unwrap();
    child_after(&rt, 0, all[0]);
    child_after(&rt, 1, all[1]);
    assert_eq!(rt.supervisor().child_pids()[2], alone);
    assert!(!rt.is_alive(all[0]));
}

#[test]
fn s17_a_failing_factory_is_reported_and_tried_again() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let heard = errors.clone();
    let rt = Runtime::builder()
        .on_event(Arc::new(move |event| {
            if let Event::FactoryFailed { error } = event {
                heard.lock().unwrap().push(error.clone());
            }
        }))
        .start()
        .unwrap();
    let (runs, spawner) = (AtomicU32::new(0), rt.clone());
    let factory: Factory = Arc::new(move || match runs.fetch_add(1, Ordering::SeqCst) {
        0 => Err("not yet".to_owned()),
        1 => Ok(None),
        2 => panic!("even less"),
        3 => Ok(Pid::new(1, 1)),
        _ => Ok(Some(spawner.spawn_fn(|_, _| {}))),
    });
    let (pid, _told) = echo(&rt, "");
    rt.supervisor().supervise_with_factory(pid, factory, Strategy::RestartOne).unwrap();
    child_after(&rt, 0, pid);
    let errors = errors.lock().unwrap();
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert_eq!(errors[0], "not yet");
}

#[test]
fn a_watched_actor_is_a_child_until_it_ends() {
    let rt = runtime();
    let (pid, _told) = echo(&rt, "");
    rt.supervisor().watch(pid, "RESTARTone".parse().unwrap()).unwrap();
    assert_eq!(rt.supervisor().child_pids(), [pid]);
    rt.kill(pid);
    eventually("it left the list", || rt.supervisor().children_count() == 0);
    assert_eq!(rt.supervisor().watch(pid, Strategy::RestartOne), Err(SuperviseError::NoProcess(pid)));
    assert!("RestartSome".parse::<Strategy>().is_err());
}

#[test]
fn a_crash_that_nobody_hears_of_is_reported_once() {
    // One worker, so that the crash of the monitored actor is over when the other's is reported.
    let (rt, crashes) = crash_recorder(1);
    let (alone, _told) = echo(&rt, "");
    let (monitored, _told) = echo(&rt, "");
    let watcher = rt.spawn_observed(myrmidon::actor::SpawnOptions::default());
    rt.monitor(watcher, monitored);
    rt.send(monitored, "panic").unwrap();
    eventually("the monitor hears of it", || rt.take_messages(watcher).is_some_and(|told| !told.is_empty()));
    rt.send(alone, "panic").unwrap();
    eventually("the report is in", || !crashes.lock().unwrap().is_empty());
    rt.shutdown(common::DEADLINE);
    assert_eq!(*crashes.lock().unwrap(), [alone]);
}
