//! The rules of supervision (semantics.md S01–S23), without actors and without waiting.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::{Duration, Instant};

use super::*;
use crate::actor::ExitReason;
use crate::pid::Pid;

const WITHIN: Duration = Duration::from_secs(5);

/// A tree whose steps are written down, and a clock. Children a, b, c get PIDs 1, 2, 3, those that are
/// started later 4, 5, …
struct World {
    tree: Tree,
    now: Instant,
    /// Starts that were asked for and not answered.
    starts: Vec<Key>,
    next: u32,
    log: Vec<String>,
}

impl World {
    fn new(spec: SupervisorSpec) -> Self {
        spec.check().unwrap();
        let (tree, now) = (Tree::new(spec), Instant::now());
        let mut world = Self { tree, now, starts: Vec::new(), next: 1, log: Vec::new() };
        let steps = world.tree.begin(now);
        world.take(steps);
        world
    }

    /// Three children that have started.
    fn up(scope: Scope, restart: Restart) -> Self {
        Self::of(spec(scope, restart).max_restarts(3, WITHIN))
    }

    fn of(spec: SupervisorSpec) -> Self {
        let mut world = Self::new(spec);
        world.start_all();
        world.log.clear();
        world
    }

    fn take(&mut self, steps: Vec<Step>) {
        for step in steps {
            let text = match step {
                Step::Start(key, _) => {
                    self.starts.push(key);
                    "start".to_owned()
                }
                Step::Stop(pid) => format!("stop {}", pid.index()),
                Step::Kill(pid) => format!("kill {}", pid.index()),
                Step::Up(_, pid) => format!("up {}", pid.index()),
                Step::NotUp(_, error) => format!("not up: {error}"),
                Step::Down(_) => "down".to_owned(),
                Step::Restarting(pid, reason) => format!("restarting {}: {reason}", pid.index()),
                Step::Lost(pid, _) => format!("lost {}", pid.index()),
                Step::GaveUp { child, .. } => format!("gave up on {child}"),
                Step::Ready => "ready".to_owned(),
                Step::End(Ok(reason)) => format!("end {reason}"),
                Step::End(Err(error)) => format!("end: {error}"),
            };
            self.log.push(text);
        }
    }

    /// Answers the oldest start.
    fn start(&mut self) {
        let key = self.starts.remove(0);
        let child = pid(self.next);
        self.next += 1;
        let steps = self.tree.started(key, child, self.now);
        self.take(steps);
    }

    fn start_all(&mut self) {
        while !self.starts.is_empty() {
            self.start();
        }
    }

    fn fail(&mut self) {
        let key = self.starts.remove(0);
        let steps = self.tree.failed(key, "no luck".to_owned(), self.now);
        self.take(steps);
    }

    fn exit(&mut self, index: u32, reason: ExitReason) {
        let steps = self.tree.exited(pid(index), &reason, self.now);
        self.take(steps);
    }

    fn crash(&mut self, index: u32) {
        self.exit(index, crash());
    }

    fn stop(&mut self) {
        let steps = self.tree.stop(ExitReason::Shutdown, self.now);
        self.take(steps);
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        let steps = self.tree.tick(self.now);
        self.take(steps);
    }

    /// What was done since the last call.
    fn log(&mut self) -> String {
        std::mem::take(&mut self.log).join(", ")
    }

    /// The PIDs of the children by id, zero for those that are down.
    fn pids(&self) -> Vec<(String, u32)> {
        let index = |pid: Option<Pid>| pid.map_or(0, Pid::index);
        self.tree.children().into_iter().map(|child| (child.id, index(child.pid))).collect()
    }

    fn indices(&self) -> Vec<u32> {
        self.pids().into_iter().map(|(_, index)| index).collect()
    }
}

fn pid(index: u32) -> Pid {
    Pid::new(1, index).unwrap()
}

fn crash() -> ExitReason {
    ExitReason::Panic("by order".to_owned())
}

fn child(id: &str) -> ChildSpec {
    ChildSpec::new(id, |_| Err("not called here".to_owned()))
}

fn spec(scope: Scope, restart: Restart) -> SupervisorSpec {
    let spec = SupervisorSpec::new(scope);
    ["a", "b", "c"].into_iter().fold(spec, |spec, id| spec.child(child(id).restart(restart)))
}

#[test]
fn s01_children_start_one_after_another() {
    let mut world = World::new(spec(Scope::OneForOne, Restart::Permanent));
    assert_eq!(world.log(), "start");
    world.start();
    assert_eq!(world.log(), "start");
    world.start();
    world.start();
    assert_eq!(world.log(), "start, ready");
}

#[test]
fn s02_a_child_that_does_not_start_takes_the_others_down() {
    let mut world = World::new(spec(Scope::OneForOne, Restart::Permanent));
    world.start();
    world.start();
    world.log();
    world.fail();
    assert_eq!(world.log(), "stop 2");
    world.exit(2, ExitReason::Shutdown);
    world.exit(1, ExitReason::Shutdown);
    assert_eq!(world.log(), "down, stop 1, down, end: child \"c\" did not start: no luck");
}

#[test]
fn s03_they_stop_one_by_one_last_first() {
    let mut world = World::up(Scope::OneForOne, Restart::Permanent);
    world.stop();
    for index in [3, 2, 1] {
        assert_eq!(world.log(), format!("stop {index}"));
        world.exit(index, ExitReason::Shutdown);
        assert!(world.log.remove(0) == "down");
    }
    assert_eq!(world.log(), "end shutdown");
}

#[test]
fn s04_one_for_one_leaves_the_others_alone() {
    let mut world = World::up(Scope::OneForOne, Restart::Permanent);
    world.crash(2);
    assert_eq!(world.log(), "restarting 2: panic: by order, start");
    world.start();
    assert_eq!(world.indices(), [1, 4, 3]);
}

#[test]
fn one_for_one_restarts_a_child_while_another_starts_or_stops() {
    let mut world = World::up(Scope::OneForOne, Restart::Permanent);
    world.crash(1);
    world.crash(2);
    assert_eq!(world.starts.len(), 2);
    let (_, steps) = world.tree.stop_child("c", world.now).unwrap();
    world.take(steps);
    world.start_all();
    assert_eq!(world.indices(), [4, 5, 3]);
}

#[test]
fn s05_one_for_all_stops_all_in_reverse_before_it_starts_any() {
    let mut world = World::up(Scope::OneForAll, Restart::Permanent);
    world.crash(2);
    assert_eq!(world.log(), "restarting 2: panic: by order, stop 3");
    world.exit(3, ExitReason::Shutdown);
    assert_eq!(world.log(), "down, stop 1");
    world.exit(1, ExitReason::Shutdown);
    assert_eq!(world.log(), "down, start");
    world.start_all();
    assert_eq!(world.indices(), [4, 5, 6]);
}

#[test]
fn s06_rest_for_one_restarts_those_after_it() {
    let mut world = World::up(Scope::RestForOne, Restart::Permanent);
    world.crash(2);
    world.exit(3, ExitReason::Shutdown);
    world.start_all();
    assert_eq!(world.indices(), [1, 4, 5]);
    assert_eq!(world.log(), "restarting 2: panic: by order, stop 3, down, start, start");
}

#[test]
fn s07_a_dynamic_supervisor_has_children_that_come_and_go() {
    let mut world = World::of(SupervisorSpec::dynamic().max_children(2));
    for _ in 0..2 {
        let (_, steps) = world.tree.add(child(""), world.now).unwrap();
        world.take(steps);
        world.start_all();
    }
    assert_eq!(world.pids(), [("#1".to_owned(), 1), ("#2".to_owned(), 2)]);
    assert_eq!(world.tree.delete_child("#1"), Err(ChildError::Dynamic("#1".to_owned())));
    let error = world.tree.restart_child("#1", world.now).err();
    assert_eq!(error, Some(ChildError::Dynamic("#1".to_owned())));
    let (_, steps) = world.tree.stop_child("#1", world.now).unwrap();
    world.take(steps);
    world.exit(1, ExitReason::Shutdown);
    assert_eq!(world.pids(), [("#2".to_owned(), 2)]);
}

#[test]
fn s08_a_dynamic_supervisor_stops_all_at_once() {
    let mut world = World::of(SupervisorSpec::dynamic());
    for id in ["a", "b", "c"] {
        let (_, steps) = world.tree.add(child(id), world.now).unwrap();
        world.take(steps);
        world.start();
    }
    world.log();
    world.stop();
    assert_eq!(world.log(), "stop 3, stop 2, stop 1");
    for index in [2, 3, 1] {
        world.exit(index, ExitReason::Shutdown);
    }
    assert_eq!(world.log(), "down, down, down, end shutdown");
}

#[test]
fn s09_max_children_holds_also_after_a_restart() {
    let mut world = World::of(SupervisorSpec::dynamic().max_children(1));
    let (_, steps) = world.tree.add(child("a"), world.now).unwrap();
    world.take(steps);
    world.start();
    assert_eq!(world.tree.add(child("b"), world.now).err(), Some(ChildError::Full(1)));
    world.crash(1);
    assert_eq!(world.tree.add(child("b"), world.now).err(), Some(ChildError::Full(1)));
    world.start();
    assert_eq!(world.tree.add(child("b"), world.now).err(), Some(ChildError::Full(1)));
}

#[test]
fn s10_s11_s12_who_is_restarted_after_what() {
    let reasons = || [ExitReason::Normal, ExitReason::Shutdown, crash(), ExitReason::Killed];
    for (restart, restarted) in [
        (Restart::Permanent, [true, true, true, true]),
        (Restart::Transient, [false, false, true, true]),
        (Restart::Temporary, [false, false, false, false]),
    ] {
        for (reason, restarted) in reasons().into_iter().zip(restarted) {
            let mut world = World::up(Scope::OneForOne, restart);
            world.exit(2, reason.clone());
            assert_eq!(world.starts.len(), usize::from(restarted), "{restart:?} after {reason}");
            let listed = world.pids().iter().any(|(id, _)| id == "b");
            assert_eq!(listed, restart != Restart::Temporary, "{restart:?} after {reason}");
        }
    }
}

#[test]
fn s12_a_temporary_bystander_is_stopped_and_forgotten() {
    let spec = SupervisorSpec::one_for_all()
        .child(child("a"))
        .child(child("b").restart(Restart::Temporary))
        .child(child("c"));
    let mut world = World::of(spec);
    world.crash(1);
    world.exit(3, ExitReason::Shutdown);
    world.exit(2, ExitReason::Shutdown);
    world.start_all();
    assert_eq!(world.pids(), [("a".to_owned(), 4), ("c".to_owned(), 5)]);
}

#[test]
fn s13_one_restart_too_many_ends_the_supervisor_after_its_children() {
    let mut world = World::of(spec(Scope::OneForOne, Restart::Permanent).max_restarts(2, WITHIN));
    world.crash(1);
    world.start();
    world.crash(4);
    world.start();
    world.log();
    world.crash(5);
    assert_eq!(world.log(), "gave up on a, stop 3");
    world.exit(3, ExitReason::Shutdown);
    world.exit(2, ExitReason::Shutdown);
    assert_eq!(world.log(), "down, stop 2, down, end shutdown");
}

#[test]
fn s14_restarts_older_than_the_period_are_forgotten() {
    let moment = Duration::from_millis(1);
    for (pause, counted) in [(WITHIN - moment, true), (WITHIN, true), (WITHIN + moment, false)] {
        let mut world = World::of(spec(Scope::OneForOne, Restart::Permanent).max_restarts(1, WITHIN));
        world.crash(1);
        world.start();
        world.log();
        world.wait(pause);
        world.crash(4);
        assert_eq!(world.log().contains("gave up"), counted, "after {pause:?}");
    }
}

#[test]
fn s15_with_no_restarts_allowed_the_first_crash_ends_it() {
    let mut world = World::of(spec(Scope::OneForOne, Restart::Permanent).max_restarts(0, WITHIN));
    world.crash(2);
    assert_eq!(world.log(), "gave up on b, stop 3");
}

#[test]
fn s17_a_failed_restart_counts_and_a_stop_between_tries_wins() {
    let mut world = World::up(Scope::OneForOne, Restart::Permanent);
    world.crash(2);
    world.fail();
    world.fail();
    assert_eq!(world.log(), "restarting 2: panic: by order, start, start, start");
    world.stop();
    world.fail();
    assert_eq!(world.log(), "stop 3, down", "no further try");
    assert!(world.starts.is_empty());

    let mut world = World::up(Scope::OneForOne, Restart::Permanent);
    world.crash(2);
    (0..3).for_each(|_| world.fail());
    assert!(world.log().ends_with("gave up on b, stop 3"));
}

#[test]
fn s18_a_sibling_that_fails_to_restart_stops_those_that_had() {
    let mut world = World::up(Scope::OneForAll, Restart::Permanent);
    world.crash(3);
    world.exit(2, ExitReason::Shutdown);
    world.exit(1, ExitReason::Shutdown);
    world.start();
    world.log();
    world.fail();
    assert_eq!(world.log(), "stop 4");
    world.exit(4, ExitReason::Shutdown);
    world.start_all();
    assert_eq!(world.indices(), [5, 6, 7]);
}

#[test]
fn s19_who_does_not_stop_in_time_is_killed() {
    let time = Duration::from_secs(2);
    let spec = SupervisorSpec::one_for_one().child(child("a").shutdown(Shutdown::After(time)));
    let mut world = World::of(spec);
    world.stop();
    assert_eq!(world.tree.next_due(), Some(world.now + time));
    world.wait(time - Duration::from_millis(1));
    assert_eq!(world.log(), "stop 1");
    world.wait(Duration::from_millis(1));
    assert_eq!(world.log(), "kill 1");
    assert_eq!(world.tree.next_due(), None);
    world.exit(1, ExitReason::Killed);
    assert_eq!(world.log(), "down, end shutdown");
}

#[test]
fn s20_s21_brutal_kills_at_once_and_infinity_waits() {
    let spec = SupervisorSpec::one_for_one()
        .child(child("a").shutdown(Shutdown::Infinity))
        .child(child("b").shutdown(Shutdown::Brutal));
    let mut world = World::of(spec);
    world.stop();
    assert_eq!(world.log(), "kill 2");
    world.exit(2, ExitReason::Killed);
    assert_eq!(world.log(), "down, stop 1");
    assert_eq!(world.tree.next_due(), None);
}

#[test]
fn s23_significant_children_end_the_supervisor_as_it_says() {
    for (auto, after_one) in [(AutoShutdown::AnySignificant, true), (AutoShutdown::AllSignificant, false)] {
        let significant = |id| child(id).restart(Restart::Transient).significant(true);
        let spec = SupervisorSpec::one_for_one()
            .child(significant("a"))
            .child(significant("b"))
            .child(child("c"))
            .auto_shutdown(auto);
        let mut world = World::of(spec);
        let (_, steps) = world.tree.stop_child("a", world.now).unwrap();
        world.take(steps);
        world.exit(1, ExitReason::Shutdown);
        assert_eq!(world.log(), "stop 1, down", "what the supervisor stopped itself does not count");
        let (_, steps) = world.tree.restart_child("a", world.now).unwrap();
        world.take(steps);
        world.start_all();
        world.log();
        world.exit(4, ExitReason::Normal);
        assert_eq!(world.log() == "stop 3", after_one, "{auto:?}");
        world.exit(2, ExitReason::Normal);
        assert!(after_one || world.log() == "stop 3", "{auto:?}");
    }
}

#[test]
fn s23_specs_that_make_no_sense_name_the_field() {
    let field = |spec: SupervisorSpec| spec.check().unwrap_err().field;
    let base = || spec(Scope::OneForOne, Restart::Permanent);
    assert_eq!(field(base().child(child("a"))), "children");
    assert_eq!(field(base().max_restarts(1, Duration::ZERO)), "within");
    assert_eq!(field(base().max_children(2)), "max_children");
    assert_eq!(field(SupervisorSpec::dynamic().child(child("a"))), "children");
    assert_eq!(field(base().child(child("d").significant(true))), "significant");
    let transient = child("d").restart(Restart::Transient).significant(true);
    assert_eq!(field(base().child(transient.clone())), "significant");
    assert!(base().child(transient).auto_shutdown(AutoShutdown::AnySignificant).check().is_ok());
    let nested = ChildSpec::supervisor("below", base().child(child("a")));
    assert_eq!(field(SupervisorSpec::one_for_one().child(nested)), "children");
}

#[test]
fn a_child_that_ends_before_it_is_known_to_run_keeps_its_reason() {
    let mut world = World::new(SupervisorSpec::one_for_one().child(child("a").restart(Restart::Transient)));
    world.exit(1, ExitReason::Normal);
    world.exit(1, ExitReason::NoProcess);
    world.start();
    assert_eq!(world.log(), "start, ready");
    assert_eq!(world.indices(), [0]);
}

#[test]
fn who_adds_a_child_hears_what_came_of_it() {
    let mut world = World::of(spec(Scope::OneForOne, Restart::Permanent));
    let (_, steps) = world.tree.add(child("d"), world.now).unwrap();
    world.take(steps);
    world.fail();
    assert_eq!(world.log(), "start, not up: child \"d\" did not start: no luck");
    assert_eq!(world.indices().len(), 3);
    assert!(matches!(world.tree.add(child("a"), world.now), Err(ChildError::Exists(_))));
    assert!(matches!(world.tree.delete_child("a"), Err(ChildError::Running(_))));
    assert!(matches!(world.tree.stop_child("x", world.now), Err(ChildError::Unknown(_))));
    let (_, steps) = world.tree.add(child("d"), world.now).unwrap();
    world.take(steps);
    world.stop();
    world.start();
    assert_eq!(world.log(), "start, up 4, stop 4");
    assert_eq!(world.tree.add(child("e"), world.now).err(), Some(ChildError::Ending));
}
