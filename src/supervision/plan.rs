//! The decisions: events and the time in, actions out.

use std::fmt;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::{Factory, Strategy};
use crate::pid::Pid;

/// A child that was asked to stop for its siblings' sake and does not, is killed after this time
/// (S19).
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Names a child of the plan; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChildId(u64);

/// What the runtime shall do. The answer to a `Start` is [`Plan::started`].
#[derive(Clone)]
pub(crate) enum Action {
    Start(ChildId, Factory),
    Stop(Pid),
    Kill(Pid),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(child, _) => write!(f, "Start({})", child.0),
            Self::Stop(pid) => write!(f, "Stop({pid:?})"),
            Self::Kill(pid) => write!(f, "Kill({pid:?})"),
        }
    }
}

/// The supervised children of one runtime, in the order of their registration.
#[derive(Default)]
pub(crate) struct Plan {
    children: Vec<Child>,
    next_id: u64,
    group: Option<Group>,
}

struct Child {
    id: ChildId,
    /// The PID it was registered with: `forget` takes this one too, after any number of restarts.
    registered: Pid,
    pid: Pid,
    /// Whether `pid` has been an actor of this runtime: what a factory is registered with need not be one.
    lived: bool,
    strategy: Strategy,
    factory: Option<Factory>,
    state: State,
    backoff: Backoff,
    up_since: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    /// To be started, not before this moment.
    Down(Instant),
    /// Its factory runs.
    Starting,
    /// Asked to stop; killed at this moment.
    Stopping(Instant),
}

/// A restart of all `RestartAll` children in progress.
#[derive(Clone, Copy)]
struct Group {
    /// All must be down before the first is started (S05).
    stopping: bool,
    not_before: Instant,
}

impl Plan {
    /// Supervises `pid`, which is `alive` or not; with `run_now` the factory runs at once and its actor becomes the
    /// child. Registering a child again replaces its strategy, and its factory if there is a new one.
    pub(crate) fn supervise(
        &mut self,
        (pid, alive): (Pid, bool),
        factory: Option<Factory>,
        strategy: Strategy,
        run_now: bool,
        now: Instant,
    ) -> Vec<Action> {
        let index = match self.find(pid) {
            Some(index) => index,
            None => {
                self.next_id += 1;
                let id = ChildId(self.next_id);
                self.children.push(Child {
                    id,
                    registered: pid,
                    pid,
                    lived: alive,
                    strategy,
                    factory: None,
                    state: State::Up,
                    backoff: Backoff::default(),
                    up_since: Some(now),
                });
                self.children.len() - 1
            }
        };
        let child = &mut self.children[index];
        child.strategy = strategy;
        // To watch a child that has a factory does not take the factory from it.
        child.factory = factory.or(child.factory.take());
        if run_now && child.state == State::Up {
            return child.start().into_iter().collect();
        }
        Vec::new()
    }

    /// Ends the supervision of the child registered as `pid` or now running as `pid`. Returns the
    /// PID that it runs as.
    pub(crate) fn forget(&mut self, pid: Pid, now: Instant) -> (Option<Pid>, Vec<Action>) {
        let Some(index) = self.find(pid) else { return (None, Vec::new()) };
        let child = self.children.remove(index);
        (Some(child.pid), self.advance(now))
    }

    /// The actor `pid` has ended.
    pub(crate) fn exited(&mut self, pid: Pid, now: Instant, jitter: f64) -> Vec<Action> {
        let Some(index) = self.children.iter().position(|child| child.pid == pid) else { return Vec::new() };
        let child = &mut self.children[index];
        let strategy = child.strategy;
        let unexpected = match child.state {
            State::Up => true,
            State::Stopping(_) => false,
            // Told before, or a factory is about to replace it.
            State::Down(_) | State::Starting => return Vec::new(),
        };
        let pause = if unexpected { child.backoff.next(child.up_since, now, jitter) } else { Duration::ZERO };
        child.state = State::Down(now + pause);
        if child.factory.is_none() {
            self.children.remove(index);
        }
        if strategy == Strategy::RestartAll && unexpected {
            let not_before = now + pause;
            self.group = Some(Group { stopping: true, not_before });
        }
        self.advance(now)
    }

    /// A factory has finished: with the PID of a living actor, or without.
    pub(crate) fn started(
        &mut self,
        id: ChildId,
        pid: Option<Pid>,
        now: Instant,
        jitter: f64,
    ) -> Vec<Action> {
        let Some(child) = self.children.iter_mut().find(|child| child.id == id) else {
            // Forgotten meanwhile: nobody wants this actor.
            return pid.map(Action::Stop).into_iter().collect();
        };
        match pid {
            Some(pid) => {
                child.pid = pid;
                child.lived = true;
                child.state = State::Up;
                child.up_since = Some(now);
            }
            None => {
                let pause = child.backoff.next(None, now, jitter);
                // The first retry waits too: a factory that fails at once would spin.
                child.state = State::Down(now + pause.max(Duration::from_millis(100)));
            }
        }
        self.advance(now)
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Action> {
        self.advance(now)
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let alone = self.children.iter().filter_map(|child| match child.state {
            State::Down(at) if !self.waits_for_group(child) => Some(at),
            State::Stopping(at) => Some(at),
            State::Up | State::Down(_) | State::Starting => None,
        });
        alone.chain(self.group_due()).min()
    }

    /// When the next member of a restart of all is to be started.
    fn group_due(&self) -> Option<Instant> {
        let group = self.group.filter(|group| !group.stopping)?;
        let members = || self.children.iter().filter(|child| child.strategy == Strategy::RestartAll);
        if members().any(|child| child.state == State::Starting) {
            return None;
        }
        members().find_map(|child| match child.state {
            State::Down(at) => Some(at.max(group.not_before)),
            _ => None,
        })
    }

    /// The PIDs of the children, in the order of registration: of one that is being restarted the last that it had. One
    /// that has never run has none.
    pub(crate) fn pids(&self) -> Vec<Pid> {
        self.children.iter().filter(|child| child.lived).map(|child| child.pid).collect()
    }

    /// Whether `pid` is a child, and whether it has a factory.
    pub(crate) fn child(&self, pid: Pid) -> Option<bool> {
        let child = self.children.iter().find(|child| child.pid == pid)?;
        Some(child.factory.is_some())
    }

    fn find(&self, pid: Pid) -> Option<usize> {
        let current = self.children.iter().position(|child| child.pid == pid);
        current.or_else(|| self.children.iter().position(|child| child.registered == pid))
    }

    fn waits_for_group(&self, child: &Child) -> bool {
        self.group.is_some() && child.strategy == Strategy::RestartAll
    }

    fn advance(&mut self, now: Instant) -> Vec<Action> {
        let (mut actions, no_group) = (Vec::new(), self.group.is_none());
        for child in &mut self.children {
            match child.state {
                State::Stopping(limit) if limit <= now => {
                    child.state = State::Stopping(now + STOP_LIMIT);
                    actions.push(Action::Kill(child.pid));
                }
                State::Down(at) if at <= now && (child.strategy == Strategy::RestartOne || no_group) => {
                    actions.extend(child.start());
                }
                _ => {}
            }
        }
        if let Some(group) = self.group {
            self.group = self.advance_group(group, now, &mut actions);
        }
        actions
    }

    /// One step of a restart of all: the last living one is stopped, or when none lives the first
    /// one down is started; one at a time.
    fn advance_group(&mut self, mut group: Group, now: Instant, actions: &mut Vec<Action>) -> Option<Group> {
        let members = || |child: &&mut Child| child.strategy == Strategy::RestartAll;
        let busy = |state| matches!(state, State::Starting | State::Stopping(_));
        if self.children.iter_mut().filter(members()).any(|child| busy(child.state)) {
            return Some(group);
        }
        if group.stopping {
            if let Some(child) =
                self.children.iter_mut().rev().filter(members()).find(|c| c.state == State::Up)
            {
                child.state = State::Stopping(now + STOP_LIMIT);
                actions.push(Action::Stop(child.pid));
                return Some(group);
            }
            group.stopping = false;
        }
        let down = |state| matches!(state, State::Down(_));
        let child = self.children.iter_mut().filter(members()).find(|child| down(child.state))?;
        let State::Down(at) = child.state else { return None };
        if at.max(group.not_before) <= now {
            actions.extend(child.start());
        }
        Some(group)
    }
}

impl Child {
    fn start(&mut self) -> Option<Action> {
        let factory = self.factory.clone()?;
        self.state = State::Starting;
        Some(Action::Start(self.id, factory))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pid(n: u32) -> Pid {
        Pid::new(1, n).unwrap()
    }

    fn factory() -> Option<Factory> {
        Some(Arc::new(|| Ok(None)))
    }

    fn text(actions: &[Action]) -> String {
        format!("{actions:?}")
    }

    /// A plan with children 1, 2, 3 of this strategy, all up.
    fn plan(strategy: Strategy, now: Instant) -> Plan {
        let mut plan = Plan::default();
        for n in 1..=3 {
            assert!(plan.supervise((pid(n), true), factory(), strategy, false, now).is_empty());
        }
        plan
    }

    #[test]
    fn s04_restart_one_restarts_only_the_failed_child() {
        let now = Instant::now();
        let mut plan = plan(Strategy::RestartOne, now);
        assert_eq!(text(&plan.exited(pid(2), now, 0.5)), "[Start(2)]");
        assert!(plan.started(ChildId(2), Some(pid(9)), now, 0.5).is_empty());
        assert_eq!(plan.pids(), [pid(1), pid(9), pid(3)]);
    }

    #[test]
    fn s05_restart_all_stops_in_reverse_one_by_one_then_starts_forward() {
        let now = Instant::now();
        let mut plan = plan(Strategy::RestartAll, now);
        assert_eq!(text(&plan.exited(pid(1), now, 0.5)), format!("[Stop({:?})]", pid(3)));
        assert_eq!(text(&plan.exited(pid(3), now, 0.5)), format!("[Stop({:?})]", pid(2)));
        assert_eq!(text(&plan.exited(pid(2), now, 0.5)), "[Start(1)]");
        assert_eq!(text(&plan.started(ChildId(1), Some(pid(11)), now, 0.5)), "[Start(2)]");
        assert_eq!(text(&plan.started(ChildId(2), Some(pid(12)), now, 0.5)), "[Start(3)]");
        assert!(plan.started(ChildId(3), Some(pid(13)), now, 0.5).is_empty());
        assert_eq!(plan.pids(), [pid(11), pid(12), pid(13)]);
        assert_eq!(plan.next_due(), None);
    }

    #[test]
    fn s17_a_failed_start_is_tried_again_later_and_a_stop_between_tries_wins() {
        let now = Instant::now();
        let mut plan = plan(Strategy::RestartOne, now);
        plan.exited(pid(2), now, 0.5);
        assert!(plan.started(ChildId(2), None, now, 0.5).is_empty());
        let due = plan.next_due().unwrap();
        assert_eq!(due, now + Duration::from_millis(100));
        assert!(plan.tick(due - Duration::from_millis(1)).is_empty());
        assert_eq!(text(&plan.tick(due)), "[Start(2)]");
        plan.started(ChildId(2), None, due, 0.5);
        assert_eq!(plan.forget(pid(2), due).0, Some(pid(2)));
        assert_eq!(plan.next_due(), None);
        assert_eq!(plan.pids().len(), 2);
    }

    #[test]
    fn s18_a_sibling_that_fails_to_start_is_retried_and_the_started_ones_stay() {
        let now = Instant::now();
        let mut plan = plan(Strategy::RestartAll, now);
        plan.exited(pid(3), now, 0.5);
        plan.exited(pid(2), now, 0.5);
        assert_eq!(text(&plan.exited(pid(1), now, 0.5)), "[Start(1)]");
        plan.started(ChildId(1), Some(pid(11)), now, 0.5);
        assert!(plan.started(ChildId(2), None, now, 0.5).is_empty());
        let due = plan.next_due().unwrap();
        assert_eq!(text(&plan.tick(due)), "[Start(2)]");
        assert_eq!(text(&plan.started(ChildId(2), Some(pid(12)), due, 0.5)), "[Start(3)]");
        assert_eq!(plan.pids()[0], pid(11));
    }

    #[test]
    fn s19_a_sibling_that_does_not_stop_is_killed() {
        let now = Instant::now();
        let mut plan = plan(Strategy::RestartAll, now);
        plan.exited(pid(1), now, 0.5);
        let due = plan.next_due().unwrap();
        assert_eq!(text(&plan.tick(due)), format!("[Kill({:?})]", pid(3)));
    }

    #[test]
    fn a_factory_that_finishes_for_a_forgotten_child_has_its_actor_stopped() {
        let now = Instant::now();
        let mut plan = Plan::default();
        assert_eq!(
            text(&plan.supervise((pid(1), true), factory(), Strategy::RestartOne, true, now)),
            "[Start(1)]"
        );
        plan.forget(pid(1), now);
        assert_eq!(text(&plan.started(ChildId(1), Some(pid(2)), now, 0.5)), format!("[Stop({:?})]", pid(2)));
    }

    #[test]
    fn a_child_that_has_never_run_has_no_pid_and_is_a_child_all_the_same() {
        let now = Instant::now();
        let mut plan = Plan::default();
        plan.supervise((pid(1), false), factory(), Strategy::RestartOne, true, now);
        assert!(plan.started(ChildId(1), None, now, 0.5).is_empty());
        assert_eq!(plan.pids(), []);
        let due = plan.next_due().unwrap();
        assert_eq!(text(&plan.tick(due)), "[Start(1)]");
        plan.started(ChildId(1), Some(pid(2)), due, 0.5);
        assert_eq!(plan.pids(), [pid(2)]);
        plan.exited(pid(2), due, 0.5);
        assert_eq!(plan.pids(), [pid(2)], "while it is restarted");
        assert_eq!(plan.forget(pid(1), due).0, Some(pid(2)));
    }

    #[test]
    fn stop_by_the_registered_pid_works_after_a_restart() {
        let now = Instant::now();
        let mut plan = plan(Strategy::RestartOne, now);
        plan.exited(pid(1), now, 0.5);
        plan.started(ChildId(1), Some(pid(8)), now, 0.5);
        assert_eq!(plan.forget(pid(1), now).0, Some(pid(8)));
    }

    #[test]
    fn a_watched_child_without_a_factory_leaves_the_list_when_it_ends() {
        let now = Instant::now();
        let mut plan = Plan::default();
        plan.supervise((pid(1), true), None, Strategy::RestartAll, false, now);
        plan.supervise((pid(2), true), factory(), Strategy::RestartAll, false, now);
        assert_eq!(text(&plan.exited(pid(1), now, 0.5)), format!("[Stop({:?})]", pid(2)));
        assert_eq!(text(&plan.exited(pid(2), now, 0.5)), "[Start(2)]");
        assert_eq!(plan.pids(), [pid(2)]);
    }

    #[test]
    fn a_crash_loop_slows_down() {
        let mut now = Instant::now();
        let mut plan = plan(Strategy::RestartOne, now);
        let (mut current, mut waits) = (pid(1), Vec::new());
        for n in 0..5 {
            let immediate = !plan.exited(current, now, 0.5).is_empty();
            if !immediate {
                let due = plan.next_due().unwrap();
                waits.push((due - now).as_millis());
                now = due;
                assert_eq!(text(&plan.tick(now)), "[Start(1)]");
            }
            current = pid(100 + n);
            plan.started(ChildId(1), Some(current), now, 0.5);
        }
        assert_eq!(waits, [100, 200, 400, 800]);
    }
}
