//! What one supervisor does next, by semantics.md S01–S23.
//!
//! Each child is wanted or not, and condemned or not. A condemned child is stopped; when none is left that
//! is condemned or stopping, the first one that is wanted and down is started. Starts and stops go one at a
//! time, except that a dynamic supervisor stops all at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::child::{Asked, Child, ChildError, ChildInfo, Key, State, Step};
use super::spec::{AutoShutdown, ChildSpec, Restart, Scope, SupervisorSpec};
use crate::actor::ExitReason;
use crate::pid::Pid;

pub(crate) struct Tree {
    spec: SupervisorSpec,
    children: Vec<Child>,
    last_key: u64,
    /// The times of the restarts that still count.
    restarts: Vec<Instant>,
    ready: bool,
    /// How it will end once all children are down.
    end: Option<Result<ExitReason, ChildError>>,
    /// Actors that ended while it is not known yet whether they are children.
    early: HashMap<Pid, ExitReason>,
}

impl Tree {
    /// The supervisor that `spec`, which was checked, describes.
    pub(crate) fn new(mut spec: SupervisorSpec) -> Self {
        let mut tree = Self {
            children: Vec::new(),
            last_key: 0,
            restarts: Vec::new(),
            ready: false,
            end: None,
            early: HashMap::new(),
            spec: SupervisorSpec::new(spec.scope),
        };
        for child in std::mem::take(&mut spec.children) {
            tree.push(child, Asked::No);
        }
        tree.spec = spec;
        tree
    }

    /// Begins.
    pub(crate) fn begin(&mut self, now: Instant) -> Vec<Step> {
        self.advance(now, Vec::new())
    }

    /// Whether the end of an actor is known that may be a child.
    pub(crate) fn knows_end_of(&self, pid: Pid) -> bool {
        self.early.contains_key(&pid)
    }

    /// The start function of a child has returned the PID of an actor.
    pub(crate) fn started(&mut self, key: Key, pid: Pid, now: Instant) -> Vec<Step> {
        let Some(child) = self.children.iter_mut().find(|child| child.key == key) else {
            return vec![Step::Stop(pid)];
        };
        child.state = State::Up(pid);
        let asked = std::mem::replace(&mut child.asked, Asked::No);
        let mut steps = Vec::new();
        if asked != Asked::No {
            steps.push(Step::Up(key, pid));
        }
        match self.early.remove(&pid) {
            Some(reason) => self.exited_into(pid, &reason, now, steps),
            None => self.advance(now, steps),
        }
    }

    /// The start function of a child has failed.
    pub(crate) fn failed(&mut self, key: Key, error: String, now: Instant) -> Vec<Step> {
        let Some(child) = self.children.iter_mut().find(|child| child.key == key) else { return Vec::new() };
        child.state = State::Down;
        let mut steps = Vec::new();
        let (id, asked) = (child.spec.id.clone(), std::mem::replace(&mut child.asked, Asked::No));
        if asked != Asked::No {
            child.wanted = false;
            let error = error.clone();
            steps.push(Step::NotUp(key, ChildError::NotStarted { id: id.clone(), error }));
        }
        if child.condemned {
            self.put_down(key, &mut steps);
        } else if asked == Asked::ToAdd {
            self.children.retain(|child| child.key != key);
        } else if asked == Asked::No {
            self.start_failed(key, id, error, now, &mut steps);
        }
        self.advance(now, steps)
    }

    /// An actor has ended.
    pub(crate) fn exited(&mut self, pid: Pid, reason: &ExitReason, now: Instant) -> Vec<Step> {
        self.exited_into(pid, reason, now, Vec::new())
    }

    /// Stops all children, and ends with `reason` then.
    pub(crate) fn stop(&mut self, reason: ExitReason, now: Instant) -> Vec<Step> {
        self.finish(Ok(reason));
        self.advance(now, Vec::new())
    }

    /// Time has passed: kills those that did not stop in theirs.
    pub(crate) fn tick(&mut self, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        for child in &mut self.children {
            if let State::Stopping(pid, Some(limit)) = child.state
                && limit <= now
            {
                child.state = State::Stopping(pid, None);
                steps.push(Step::Kill(pid));
            }
        }
        steps
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let limits = self.children.iter().filter_map(|child| match child.state {
            State::Stopping(_, limit) => limit,
            _ => None,
        });
        limits.min()
    }

    /// Adds a child and starts it. [`Step::Up`] or [`Step::NotUp`] says what came of it.
    pub(crate) fn add(&mut self, mut spec: ChildSpec, now: Instant) -> Result<(Key, Vec<Step>), ChildError> {
        if self.end.is_some() {
            return Err(ChildError::Ending);
        }
        if spec.id.is_empty() {
            spec.id = format!("#{}", self.last_key + 1);
        }
        if self.children.iter().any(|child| child.spec.id == spec.id) {
            return Err(ChildError::Exists(spec.id));
        }
        if self.children.len() >= self.spec.max_children {
            return Err(ChildError::Full(self.children.len()));
        }
        self.spec.check_child(&spec)?;
        let key = self.push(spec, Asked::ToAdd);
        Ok((key, self.advance(now, Vec::new())))
    }

    /// Stops a child; it stays in the list unless it is temporary or the supervisor dynamic. The key is
    /// there if it has to be waited for, until [`Step::Down`].
    pub(crate) fn stop_child(
        &mut self,
        id: &str,
        now: Instant,
    ) -> Result<(Option<Key>, Vec<Step>), ChildError> {
        let child = self.find(id)?;
        child.wanted = false;
        if child.state == State::Down {
            return Ok((None, Vec::new()));
        }
        child.condemned = true;
        let key = child.key;
        Ok((Some(key), self.advance(now, Vec::new())))
    }

    /// Starts a child that is down, which [`Step::Up`] or [`Step::NotUp`] answers.
    pub(crate) fn restart_child(&mut self, id: &str, now: Instant) -> Result<(Key, Vec<Step>), ChildError> {
        let child = self.find_kept(id)?;
        (child.wanted, child.asked) = (true, Asked::ToRestart);
        let key = child.key;
        Ok((key, self.advance(now, Vec::new())))
    }

    /// Forgets a child that is down.
    pub(crate) fn delete_child(&mut self, id: &str) -> Result<(), ChildError> {
        let key = self.find_kept(id)?.key;
        self.children.retain(|child| child.key != key);
        Ok(())
    }

    /// The children, in the order of their starts.
    pub(crate) fn children(&self) -> Vec<ChildInfo> {
        self.children.iter().map(Child::info).collect()
    }

    fn push(&mut self, spec: ChildSpec, asked: Asked) -> Key {
        self.last_key += 1;
        let key = Key(self.last_key);
        let (state, wanted, condemned) = (State::Down, true, false);
        self.children.push(Child { key, spec, state, wanted, condemned, asked });
        key
    }

    fn find(&mut self, id: &str) -> Result<&mut Child, ChildError> {
        let unknown = || ChildError::Unknown(id.to_owned());
        self.children.iter_mut().find(|child| child.spec.id == id).ok_or_else(unknown)
    }

    /// A child that is down and stays so unless somebody starts it.
    fn find_kept(&mut self, id: &str) -> Result<&mut Child, ChildError> {
        if self.end.is_some() {
            return Err(ChildError::Ending);
        }
        if self.spec.scope == Scope::Dynamic {
            return Err(ChildError::Dynamic(id.to_owned()));
        }
        let child = self.find(id)?;
        if child.wanted || child.state != State::Down {
            return Err(ChildError::Running(id.to_owned()));
        }
        Ok(child)
    }

    fn exited_into(
        &mut self,
        pid: Pid,
        reason: &ExitReason,
        now: Instant,
        mut steps: Vec<Step>,
    ) -> Vec<Step> {
        let runs =
            |child: &&mut Child| matches!(child.state, State::Up(p) | State::Stopping(p, _) if p == pid);
        let Some(child) = self.children.iter_mut().find(runs) else {
            if self.children.iter().any(|child| child.state == State::Starting) {
                self.early.entry(pid).or_insert_with(|| reason.clone());
            }
            return steps;
        };
        let (key, stopped) = (child.key, child.state != State::Up(pid) || child.condemned);
        child.state = State::Down;
        if stopped {
            self.put_down(key, &mut steps);
        } else if child.restarts_after(reason) {
            let id = child.spec.id.clone();
            if self.count_restart(now) {
                steps.push(Step::Restarting(pid, reason.clone()));
                self.condemn_with(key);
            } else {
                self.give_up(id, reason.to_string(), &mut steps);
            }
        } else {
            if reason.is_crash() {
                steps.push(Step::Lost(pid, reason.clone()));
            }
            self.let_go(key);
        }
        self.advance(now, steps)
    }

    /// A start that belongs to the supervisor's own, or to a restart, has failed (S02, S17, S18).
    fn start_failed(&mut self, key: Key, id: String, error: String, now: Instant, steps: &mut Vec<Step>) {
        if !self.ready {
            self.finish(Err(ChildError::NotStarted { id, error }));
        } else if self.count_restart(now) {
            self.condemn_with(key);
        } else {
            self.give_up(id, error, steps);
        }
    }

    /// A child has stopped as it was told to.
    fn put_down(&mut self, key: Key, steps: &mut Vec<Step>) {
        steps.push(Step::Down(key));
        let Some(child) = self.children.iter_mut().find(|child| child.key == key) else { return };
        child.condemned = false;
        self.forget(key);
    }

    /// A child has ended and is not restarted.
    fn let_go(&mut self, key: Key) {
        let Some(child) = self.children.iter_mut().find(|child| child.key == key) else { return };
        child.wanted = false;
        let significant = child.spec.significant;
        self.forget(key);
        let others = || self.children.iter().filter(|child| child.spec.significant);
        let over = match self.spec.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => significant,
            AutoShutdown::AllSignificant => significant && !others().any(|child| child.wanted),
        };
        if over {
            self.finish(Ok(ExitReason::Shutdown));
        }
    }

    /// Takes a child that nobody will start again from the list.
    fn forget(&mut self, key: Key) {
        let dynamic = self.spec.scope == Scope::Dynamic;
        self.children.retain(|child| {
            let kept = child.wanted || !(dynamic || child.spec.restart == Restart::Temporary);
            child.key != key || kept
        });
    }

    /// Counts a restart; `false` if it is one too many (S13, S14).
    fn count_restart(&mut self, now: Instant) -> bool {
        let within: Duration = self.spec.within;
        self.restarts.retain(|&at| now.saturating_duration_since(at) <= within);
        if self.restarts.len() >= self.spec.max_restarts {
            return false;
        }
        self.restarts.push(now);
        true
    }

    fn give_up(&mut self, child: String, reason: String, steps: &mut Vec<Step>) {
        steps.push(Step::GaveUp { child, reason });
        self.finish(Ok(ExitReason::Shutdown));
    }

    /// Condemns the siblings that the failure of a child takes along.
    fn condemn_with(&mut self, key: Key) {
        let place = self.children.iter().position(|child| child.key == key).unwrap_or(0);
        let first = match self.spec.scope {
            Scope::OneForOne | Scope::Dynamic => return,
            Scope::OneForAll => 0,
            Scope::RestForOne => place + 1,
        };
        self.children.iter_mut().skip(first).for_each(Child::condemn);
    }

    /// Stops all and ends; the first reason counts.
    fn finish(&mut self, end: Result<ExitReason, ChildError>) {
        self.end.get_or_insert(end);
        for child in &mut self.children {
            child.condemn();
            child.wanted = false;
        }
    }

    fn advance(&mut self, now: Instant, mut steps: Vec<Step>) -> Vec<Step> {
        self.stop_condemned(now, &mut steps);
        if !self.children.iter().any(|child| child.state == State::Starting) {
            self.early.clear();
        }
        let busy = |child: &Child| !matches!(child.state, State::Down | State::Up(_)) || child.condemned;
        let busy = self.children.iter().any(busy);
        if self.is_apart() {
            self.children
                .iter_mut()
                .filter(|child| child.is_due())
                .for_each(|child| steps.push(child.start()));
        } else if busy {
            return steps;
        } else if let Some(end) = self.end.clone() {
            steps.extend(self.unanswered());
            steps.push(Step::End(end));
        } else if let Some(child) = self.children.iter_mut().find(|child| child.is_due()) {
            steps.push(child.start());
        } else if !std::mem::replace(&mut self.ready, true) {
            steps.push(Step::Ready);
        }
        steps
    }

    /// Whether no child has to wait for another.
    fn is_apart(&self) -> bool {
        self.ready && self.end.is_none() && matches!(self.spec.scope, Scope::OneForOne | Scope::Dynamic)
    }

    /// Asks the last condemned child to stop, unless one is stopping already; or all of them.
    fn stop_condemned(&mut self, now: Instant, steps: &mut Vec<Step>) {
        let together = self.spec.scope == Scope::Dynamic || self.is_apart();
        for child in self.children.iter_mut().rev() {
            match child.state {
                State::Up(pid) if child.condemned => steps.push(child.stop(pid, now)),
                State::Stopping(..) => {}
                State::Starting if child.condemned => {}
                State::Down | State::Up(_) | State::Starting => continue,
            }
            if !together {
                return;
            }
        }
    }

    /// Starts that somebody waits for and that will not be.
    fn unanswered(&mut self) -> Vec<Step> {
        let asked = self.children.iter_mut().filter(|child| child.asked != Asked::No);
        asked.map(|child| Step::NotUp(child.key, ChildError::Ending)).collect()
    }
}
