//! Supervisors of a running system; the rules alone are in `src/supervision/tree_tests.rs`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{eventually, runtime};
use myrmidon::actor::{Actor, Context, ExitReason, Flow, SpawnOptions};
use myrmidon::config::RuntimeConfig;
use myrmidon::runtime::{Event, SupervisorRef};
use myrmidon::supervision::{ChildError, ChildSpec, Restart, Scope, Shutdown, SupervisorSpec};
use myrmidon::{Pid, Runtime, sim};

const LIMIT: Duration = Duration::from_secs(20);
const SECOND: Duration = Duration::from_secs(1);

/// Panics at "panic", ends at "end", otherwise goes on.
fn worker(message: &[u8]) -> Flow {
    match message {
        b"panic" => panic!("by order"),
        b"end" => Flow::Stop(ExitReason::Normal),
        _ => Flow::Continue,
    }
}

fn child(id: &str) -> ChildSpec {
    ChildSpec::new(id, |starter| Ok(starter.spawn_fn(|message, _| worker(&message))))
}

fn three(scope: Scope) -> SupervisorSpec {
    let spec = SupervisorSpec::new(scope).max_restarts(10, SECOND);
    ["a", "b", "c"].into_iter().fold(spec, |spec, id| spec.child(child(id)))
}

fn pids(supervisor: &SupervisorRef) -> Vec<Pid> {
    supervisor.children(LIMIT).unwrap().into_iter().filter_map(|child| child.pid).collect()
}

/// Waits until all three run and some are others than before.
fn pids_after(supervisor: &SupervisorRef, before: &[Pid]) -> Vec<Pid> {
    eventually("the children were restarted", || {
        let now = pids(supervisor);
        now.len() == before.len() && now != before
    });
    pids(supervisor)
}

#[test]
fn s01_s02_start_gives_a_running_tree_or_nothing() {
    let rt = runtime();
    let supervisor = rt.supervise(three(Scope::OneForOne)).unwrap();
    assert_eq!(pids(&supervisor).len(), 3);
    rt.stop(supervisor.pid());
    rt.join(supervisor.pid(), Some(LIMIT)).unwrap();
    assert!(rt.actors().is_empty());

    let failing = ChildSpec::new("d", |_| Err("no luck".to_owned()));
    let error = rt.supervise(three(Scope::OneForOne).child(failing)).unwrap_err();
    assert_eq!(error, ChildError::NotStarted { id: "d".to_owned(), error: "no luck".to_owned() });
    eventually("nothing is left", || rt.actors().is_empty());

    let dead = rt.spawn_fn(|_, _| {});
    rt.kill(dead);
    rt.join(dead, Some(LIMIT)).unwrap();
    let error =
        rt.supervise(three(Scope::OneForOne).child(ChildSpec::new("d", move |_| Ok(dead)))).unwrap_err();
    assert!(error.to_string().contains("not alive"), "{error}");
    eventually("nothing is left", || rt.actors().is_empty());

    let panicking = ChildSpec::new("d", |_| panic!("of all things"));
    let error = rt.supervise(three(Scope::OneForOne).child(panicking)).unwrap_err();
    assert!(error.to_string().contains("of all things"), "{error}");
}

#[test]
fn s04_s05_s06_the_scope_says_who_is_restarted() {
    let rt = runtime();
    for (scope, kept) in [
        (Scope::OneForOne, [true, false, true]),
        (Scope::OneForAll, [false, false, false]),
        (Scope::RestForOne, [true, false, false]),
    ] {
        let supervisor = rt.supervise(three(scope)).unwrap();
        let before = pids(&supervisor);
        rt.send(before[1], "panic").unwrap();
        let after = pids_after(&supervisor, &before);
        assert_eq!([0, 1, 2].map(|place| before[place] == after[place]), kept, "{scope:?}");
    }
}

#[test]
fn s13_s16_too_many_failures_end_a_supervisor_and_its_own_restarts_it_whole() {
    let (tell, told) = std::sync::mpsc::sync_channel(16);
    let rt =
        Runtime::builder().on_event(Arc::new(move |event| drop(tell.send(event.clone())))).start().unwrap();
    let inner = three(Scope::OneForOne).max_restarts(0, SECOND);
    let outer = SupervisorSpec::one_for_one().child(ChildSpec::supervisor("below", inner));
    let supervisor = rt.supervise(outer).unwrap();
    let below = supervisor.children(LIMIT).unwrap().remove(0);
    assert!(below.supervisor);
    let before = rt.actors();
    assert_eq!(before.len(), 5);
    let worker = *before.iter().find(|pid| ![supervisor.pid(), below.pid.unwrap()].contains(pid)).unwrap();
    rt.send(worker, "panic").unwrap();
    let again = || supervisor.children(LIMIT).unwrap().remove(0).pid;
    eventually("it was restarted", || again().is_some_and(|pid| Some(pid) != below.pid));
    assert_eq!(rt.actors().len(), 5, "the new tree is complete");
    assert_eq!(rt.actors().iter().filter(|pid| before.contains(pid)).count(), 1, "nobody is left of the old");
    let events: Vec<_> = told.try_iter().collect();
    let gave_up =
        |event: &Event| matches!(event, Event::GaveUp { supervisor, .. } if Some(*supervisor) == below.pid);
    assert!(events.iter().any(gave_up), "{events:?}");
}

/// Takes note of its end, and takes its time for it if told so.
struct Recorder {
    name: &'static str,
    ends: Arc<Mutex<Vec<&'static str>>>,
    linger: bool,
}

impl Actor for Recorder {
    type Msg = bytes::Bytes;

    fn handle(&mut self, _: bytes::Bytes, _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }

    fn stopping(&mut self, reason: ExitReason, _: &mut Context<'_>) -> Flow {
        if self.linger { Flow::Continue } else { Flow::Stop(reason) }
    }

    fn stopped(&mut self, _: &ExitReason) {
        self.ends.lock().unwrap().push(self.name);
    }
}

#[test]
fn s03_s19_s20_stopping_goes_backwards_and_the_stubborn_are_killed() {
    let rt = runtime();
    let ends = Arc::new(Mutex::new(Vec::new()));
    let recorder = |name: &'static str, linger: bool, shutdown| {
        let ends = ends.clone();
        ChildSpec::new(name, move |starter| Ok(starter.spawn(Recorder { name, ends: ends.clone(), linger })))
            .shutdown(shutdown)
    };
    let limit = Shutdown::After(LIMIT);
    let spec = SupervisorSpec::one_for_one()
        .child(recorder("first", false, limit))
        .child(recorder("stubborn", true, Shutdown::After(Duration::from_millis(20))))
        .child(recorder("brutal", false, Shutdown::Brutal))
        .child(recorder("last", false, limit));
    let supervisor = rt.supervise(spec).unwrap();
    assert!(rt.stop(supervisor.pid()));
    assert_eq!(rt.join(supervisor.pid(), Some(LIMIT)), Ok(ExitReason::Normal));
    assert_eq!(*ends.lock().unwrap(), ["last", "first"], "those that were killed get no last call");
    assert!(rt.actors().is_empty());
}

#[test]
fn s07_dynamic_children_come_and_go() {
    let rt = runtime();
    let supervisor = rt.supervise(SupervisorSpec::dynamic()).unwrap();
    let added: Vec<_> = (0..3).map(|_| supervisor.start_child(child(""), LIMIT).unwrap()).collect();
    assert_eq!(pids(&supervisor), added);
    let first = supervisor.children(LIMIT).unwrap().remove(0).id;
    supervisor.stop_child(&first, LIMIT).unwrap();
    assert!(!rt.is_alive(added[0]));
    assert_eq!(pids(&supervisor), added[1..]);
    assert_eq!(supervisor.delete_child(&first, LIMIT), Err(ChildError::Dynamic(first)));
}

#[test]
fn s11_a_transient_child_that_ends_at_once_in_good_order_stays_down() {
    let rt = runtime();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = runs.clone();
    let once = ChildSpec::new("once", move |starter| {
        counted.fetch_add(1, Ordering::SeqCst);
        let pid = starter.spawn_fn(|message, _| worker(&message));
        starter.stop(pid);
        Ok(pid)
    });
    let supervisor =
        rt.supervise(SupervisorSpec::one_for_one().child(once.restart(Restart::Transient))).unwrap();
    eventually("it has ended", || pids(&supervisor).is_empty());
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let pid = supervisor.restart_child("once", LIMIT).unwrap();
    eventually("it has ended again", || !rt.is_alive(pid) && pids(&supervisor).is_empty());
    supervisor.delete_child("once", LIMIT).unwrap();
    assert!(supervisor.children(LIMIT).unwrap().is_empty());
}

#[test]
fn s17_a_supervisor_answers_while_a_child_starts() {
    let rt = runtime();
    let supervisor = rt.supervise(SupervisorSpec::one_for_one()).unwrap();
    let (open, gate) = std::sync::mpsc::sync_channel::<()>(1);
    let gate = Mutex::new(gate);
    let slow = ChildSpec::new("slow", move |starter| {
        gate.lock().unwrap().recv().unwrap();
        Ok(starter.spawn_fn(|_, _| {}))
    });
    let asked = supervisor.clone();
    let adding = std::thread::spawn(move || asked.start_child(slow, LIMIT));
    eventually("it is listed", || supervisor.children(LIMIT).unwrap().len() == 1);
    assert_eq!(pids(&supervisor), []);
    open.send(()).unwrap();
    let pid = adding.join().unwrap().unwrap();
    assert_eq!(pids(&supervisor), [pid]);
}

#[test]
fn s01_s10_children_start_and_start_again_while_all_threads_for_blocking_work_are_held() {
    let config = RuntimeConfig { workers: 1, blocking_threads: 1, ..RuntimeConfig::default() };
    let rt = Runtime::builder().config(config).start().unwrap();
    let (open, gate) = sync_channel::<()>(0);
    let _held = rt.spawn_blocking(move || _ = gate.recv()).unwrap();
    let ((tell, told), below) = (sync_channel(1), rt.clone());
    let _waits = rt.spawn_beside(move || {
        let supervisor = below.supervise(three(Scope::OneForAll)).unwrap();
        let before = pids(&supervisor);
        below.send(before[0], "panic").unwrap();
        tell.send((before.clone(), pids_after(&supervisor, &before))).unwrap();
    });
    let (before, after) = told.recv_timeout(LIMIT).unwrap();
    assert!(before.iter().all(|pid| !after.contains(pid)));
    drop(open);
}

#[test]
fn s22_a_child_that_unlinks_itself_is_restarted_and_stopped_all_the_same() {
    let rt = runtime();
    let handle = rt.clone();
    let loner = ChildSpec::new("loner", move |starter| {
        let pid = handle.spawn_fn(|message, _| worker(&message));
        handle.trap_exit(pid, true);
        let _ = starter;
        Ok(pid)
    });
    let supervisor = rt.supervise(SupervisorSpec::one_for_one().child(loner)).unwrap();
    let before = pids(&supervisor);
    rt.unlink(before[0], supervisor.pid());
    rt.send(before[0], "panic").unwrap();
    let after = pids_after(&supervisor, &before);
    rt.unlink(after[0], supervisor.pid());
    rt.stop(supervisor.pid());
    rt.join(supervisor.pid(), Some(LIMIT)).unwrap();
    assert!(!rt.is_alive(after[0]));
}

#[test]
fn children_end_with_a_supervisor_that_is_killed() {
    let rt = runtime();
    let below = ChildSpec::supervisor("below", three(Scope::OneForOne));
    let supervisor = rt.supervise(SupervisorSpec::one_for_one().child(child("a")).child(below)).unwrap();
    assert_eq!(rt.actors().len(), 6);
    rt.kill(supervisor.pid());
    eventually("all have ended", || rt.actors().is_empty());
    assert_eq!(supervisor.children(LIMIT), Err(ChildError::Ending));
}

#[test]
fn s21_s34_children_that_trap_exits_or_unlink_end_with_a_supervisor_that_is_killed() {
    let rt = runtime();
    let ends: Arc<Mutex<Vec<ExitReason>>> = Arc::default();
    let told = ends.clone();
    let traps = ChildSpec::new("traps", move |starter| {
        let options = SpawnOptions { trap_exit: true, ..SpawnOptions::default() };
        Ok(starter.spawn_with(Trapper(told.clone()), options))
    });
    let supervisor =
        rt.supervise(SupervisorSpec::one_for_one().child(traps).child(child("unlinked"))).unwrap();
    rt.unlink(pids(&supervisor)[1], supervisor.pid());
    rt.kill(supervisor.pid());
    eventually("all have ended", || rt.actors().is_empty());
    assert_eq!(*ends.lock().unwrap(), [ExitReason::Shutdown]);
}

/// Keeps the reason of its end.
struct Trapper(Arc<Mutex<Vec<ExitReason>>>);

impl Actor for Trapper {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }

    fn stopped(&mut self, reason: &ExitReason) {
        self.0.lock().unwrap().push(reason.clone());
    }
}

#[test]
fn a_shutdown_restarts_nobody() {
    let (tell, told) = std::sync::mpsc::sync_channel(16);
    let rt =
        Runtime::builder().on_event(Arc::new(move |event| drop(tell.send(event.clone())))).start().unwrap();
    for _ in 0..20 {
        rt.supervise(three(Scope::OneForAll)).unwrap();
    }
    rt.shutdown(LIMIT);
    assert!(rt.actors().is_empty());
    assert_eq!(told.try_iter().map(|event| format!("{event:?}")).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn spawn_options_of_a_child_are_its_own() {
    let rt = runtime();
    let spec = ChildSpec::new("traps", |starter| {
        let options = SpawnOptions { trap_exit: true, budget: Some(1), ..SpawnOptions::default() };
        let recorder = Recorder { name: "traps", ends: Arc::default(), linger: false };
        Ok(starter.spawn_with(recorder, options))
    });
    let supervisor = rt.supervise(SupervisorSpec::one_for_one().child(spec)).unwrap();
    let pid = pids(&supervisor)[0];
    rt.exit(pid, ExitReason::Shutdown);
    rt.send(pid, "still there").unwrap();
    assert_eq!(pids(&supervisor), [pid]);
}

/// Whatever the order and whoever is killed when: three children again, each restart in its scope.
#[test]
fn a_tree_heals_in_any_order() {
    sim::check(0..60, |sim| {
        let rt = sim.runtime().clone();
        let supervisor = rt.supervise(three(Scope::RestForOne)).unwrap();
        let before = pids(&supervisor);
        let victim = before[sim.random().below(3) as usize];
        let step = sim.random().below(20) as usize;
        sim.kill_at(step, victim);
        rt.send(before[0], "hello").unwrap();
        sim.run_for(SECOND);
        rt.kill(victim); // If the simulation did not get so far.
        sim.run_for(SECOND);
        let after = pids(&supervisor);
        assert_eq!(after.len(), 3);
        assert!(after.iter().all(|pid| rt.is_alive(*pid)));
        let kept = before.iter().zip(&after).take_while(|(old, new)| old == new).count();
        assert_eq!(Some(kept), before.iter().position(|pid| *pid == victim));
    });
}
