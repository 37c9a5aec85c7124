//! The model: what the runtime promises, in plain code on one thread. It follows a trace, and says what
//! each turn must have done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use myrmidon::sim::Step;

use crate::program::{Bound, Op, Outcome, Overflow, Reason, Runtime, free_deadline, owners, perform_all};

/// Earlier versions that are kept.
const HISTORY: usize = 8;
/// Messages of a turn where nothing draws a lower number.
const BUDGET: u32 = 100;

pub(crate) struct Reference {
    trace: VecDeque<Step>,
    pub(crate) log: Vec<String>,
    pub(crate) dead_letters: u64,
    actors: Vec<Actor>,
    /// Targets by monitor; only who watches them by it counts, which is in the actors.
    monitors: usize,
    names: BTreeMap<usize, usize>,
    scripts: Vec<Vec<Op>>,
    swaps: usize,
    /// Milliseconds.
    now: u64,
    timers: Vec<Timer>,
    deadlines: BTreeSet<u64>,
    /// The actor that has a turn, and what it spent.
    running: Option<usize>,
    spent: u32,
}

struct Actor {
    alive: bool,
    starts: bool,
    traps: bool,
    /// What `traps` will be when all that was sent has taken effect.
    will_trap: bool,
    scheduled: bool,
    bound: Option<Bound>,
    mailbox: VecDeque<Item>,
    links: BTreeSet<usize>,
    watchers: Vec<(usize, usize)>,
    monitoring: BTreeMap<usize, usize>,
    code: Code,
    history: Vec<Code>,
    asked_version: u64,
}

#[derive(Clone, Copy)]
struct Code {
    tag: usize,
    version: u64,
}

struct Timer {
    at: u64,
    actor: usize,
    script: usize,
    waits: bool,
}

#[derive(Clone)]
struct Item {
    /// Runs before the next message (S41).
    overtakes: bool,
    what: What,
}

#[derive(Clone)]
enum What {
    User(usize),
    Stop,
    Kill,
    Exit { from: Option<usize>, reason: Reason, linked: bool },
    Swap { tag: usize, version: u64, fails: bool },
    Rollback(u64),
    Ping(usize),
    Pong(usize),
    Down { monitor: usize, target: usize, reason: Reason },
    Watch { monitor: usize, watcher: usize },
    Unwatch(usize),
    Monitoring { monitor: usize, target: usize },
    Demonitor(usize),
    Linked(usize),
    Unlinked(usize),
    TrapExit(bool),
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Taken,
    Full,
    NoProcess,
}

fn settled(offered: Result<(), Option<Overflow>>) -> Sent {
    match offered {
        Ok(()) => Sent::Taken,
        Err(Some(_)) => Sent::Full,
        Err(None) => Sent::NoProcess,
    }
}

impl Actor {
    /// Messages that wait. Signals do not count.
    fn waiting(&self) -> usize {
        self.mailbox.iter().filter(|item| item.is_user()).count()
    }
}

impl Item {
    fn is_user(&self) -> bool {
        matches!(self.what, What::User(_))
    }
}

/// The reason to end, where a step is one.
type Flow = Result<(), Reason>;

impl Reference {
    pub(crate) fn new(trace: Vec<Step>) -> Self {
        Self {
            trace: trace.into(),
            log: Vec::new(),
            dead_letters: 0,
            actors: Vec::new(),
            monitors: 0,
            names: BTreeMap::new(),
            scripts: Vec::new(),
            swaps: 0,
            now: 0,
            timers: Vec::new(),
            deadlines: BTreeSet::new(),
            running: None,
            spent: 0,
        }
    }

    /// Follows the rest of the trace, after which nothing may be left to do.
    pub(crate) fn rest(&mut self) {
        while self.follow() {}
        assert!(!self.actors.iter().any(|actor| actor.scheduled), "an actor waits for a turn for ever");
    }

    /// One step of the trace.
    fn follow(&mut self) -> bool {
        match self.trace.pop_front() {
            Some(Step::Clock(passed)) => self.now = passed.as_millis() as u64,
            Some(Step::Actor { actor, spent, budget }) => {
                self.fire_due();
                self.turn(actor.slot as usize, budget, spent);
            }
            Some(other) => panic!("the model knows no step {other:?}"),
            None => return false,
        }
        self.fire_due();
        true
    }

    fn fire_due(&mut self) {
        let mut due: Vec<_> = (0..self.timers.len())
            .filter(|n| self.timers[*n].waits && self.timers[*n].at <= self.now)
            .collect();
        due.sort_by_key(|n| self.timers[*n].at);
        for timer in due {
            self.timers[timer].waits = false;
            let (actor, script) = (self.timers[timer].actor, self.timers[timer].script);
            if self.deliver(actor, script) != Sent::Taken {
                self.dead_letters += 1;
            }
        }
    }

    fn turn(&mut self, actor: usize, budget: u32, spent: u32) {
        assert!(self.actors[actor].scheduled, "{actor} had a turn and nothing to do");
        self.running = Some(actor);
        self.spent = 0;
        let flow = self.play(actor, budget.min(BUDGET));
        assert_eq!(self.spent, spent, "what the turn of {actor} spent");
        self.running = None;
        match flow {
            Ok(again) => self.actors[actor].scheduled = again,
            Err(reason) => self.end(actor, reason),
        }
    }

    /// Whether the actor goes to the back of the queue.
    fn play(&mut self, actor: usize, budget: u32) -> Result<bool, Reason> {
        if std::mem::take(&mut self.actors[actor].starts) {
            self.says(actor, "started");
        }
        loop {
            while let Some(at) = self.actors[actor].mailbox.iter().position(|item| item.overtakes) {
                let item = self.actors[actor].mailbox.remove(at).unwrap();
                self.obey(actor, item.what)?;
            }
            if self.spent >= budget {
                return Ok(true);
            }
            let Some(item) = self.actors[actor].mailbox.pop_front() else { return Ok(false) };
            self.spent += 1;
            self.obey(actor, item.what)?;
        }
    }

    fn obey(&mut self, me: usize, what: What) -> Flow {
        match what {
            What::User(script) => return self.handle(me, script),
            What::Stop => return Err(Reason::Normal),
            What::Kill => return Err(Reason::Killed),
            What::Exit { from, reason, linked } => return self.exit_signal(me, from, reason, linked),
            What::Swap { tag, version, fails } => self.swap_code(me, Code { tag, version }, fails),
            What::Rollback(version) => self.roll_back(me, version),
            What::Ping(from) => {
                self.push(from, What::Pong(me));
                self.hears(me, &format!("ping of {from}"));
            }
            What::Pong(from) => self.hears(me, &format!("pong of {from}")),
            What::Down { monitor, target, reason } => {
                if self.actors[me].monitoring.remove(&monitor).is_some() {
                    self.hears(me, &format!("down {monitor} of {target} {reason:?}"));
                }
            }
            What::Monitoring { monitor, target } => {
                self.actors[me].monitoring.insert(monitor, target);
            }
            What::Demonitor(monitor) => self.stop_monitoring(me, monitor),
            What::TrapExit(trap) => self.actors[me].traps = trap,
            bond => self.bond(me, &bond),
        }
        Ok(())
    }

    /// What counts also where it comes too late to be obeyed.
    fn bond(&mut self, me: usize, what: &What) {
        let actor = &mut self.actors[me];
        match what {
            What::Watch { monitor, watcher } => actor.watchers.push((*monitor, *watcher)),
            What::Unwatch(monitor) => actor.watchers.retain(|(known, _)| known != monitor),
            What::Linked(other) => {
                actor.links.insert(*other);
            }
            What::Unlinked(other) => {
                actor.links.remove(other);
            }
            _ => {}
        }
    }

    fn handle(&mut self, me: usize, script: usize) -> Flow {
        self.says(me, &format!("message {script}"));
        let script = self.scripts[script].clone();
        match perform_all(self, me, &script) {
            Outcome::Continue => Ok(()),
            Outcome::Finish(reason) => Err(reason),
            Outcome::Panic => Err(Reason::Panic),
        }
    }

    /// The matrix of S34.
    fn exit_signal(&mut self, me: usize, from: Option<usize>, reason: Reason, linked: bool) -> Flow {
        if linked && !from.is_some_and(|from| self.actors[me].links.remove(&from)) {
            return Ok(());
        }
        if self.actors[me].traps {
            self.hears(me, &format!("exit of {} {reason:?}", from.unwrap_or(me)));
            return Ok(());
        }
        if reason == Reason::Normal && from != Some(me) { Ok(()) } else { Err(reason) }
    }

    fn swap_code(&mut self, me: usize, new: Code, fails: bool) {
        let old = self.actors[me].code;
        self.log.push(format!("{me} v{}: takes over from v{} as {}", new.tag, old.tag, old.version));
        if fails {
            self.keep_version(me, new.version);
        } else {
            let history = &mut self.actors[me].history;
            history.push(old);
            let surplus = history.len().saturating_sub(HISTORY);
            history.drain(..surplus);
            self.actors[me].code = new;
        }
        self.hears_version(me, fails);
    }

    fn roll_back(&mut self, me: usize, version: u64) {
        let left = self.actors[me].code;
        let earlier = self.actors[me].history.pop();
        match earlier {
            None => self.keep_version(me, version),
            Some(Code { tag, .. }) => {
                self.log.push(format!("{me} v{tag}: takes over from v{} as {}", left.tag, left.version));
                self.actors[me].code = Code { tag, version };
            }
        }
        self.hears_version(me, earlier.is_none());
    }

    /// What was to become this version has failed; unless one came after it, its number is free again.
    fn keep_version(&mut self, me: usize, failed: u64) {
        let actor = &mut self.actors[me];
        let running = actor.code.version;
        if actor.asked_version == failed {
            actor.asked_version = running;
        }
        self.log.push(format!("event: {me} keeps version {running}"));
    }

    fn hears_version(&mut self, me: usize, failed: bool) {
        let version = self.actors[me].code.version;
        self.hears(me, &format!("version {version}, failed: {failed}"));
    }

    fn stop_monitoring(&mut self, me: usize, monitor: usize) {
        if let Some(target) = self.actors[me].monitoring.remove(&monitor) {
            self.push(target, What::Unwatch(monitor));
        }
    }

    /// The end, in the order that is part of the contract.
    fn end(&mut self, me: usize, reason: Reason) {
        if !matches!(reason, Reason::Killed | Reason::Panic) {
            self.says(me, &format!("stopped {reason:?}"));
        }
        self.actors[me].alive = false;
        self.actors[me].scheduled = false;
        for item in std::mem::take(&mut self.actors[me].mailbox) {
            match item.what {
                What::User(_) => self.dead_letters += 1,
                bond => self.bond(me, &bond),
            }
        }
        // What was never sent is no dead letter.
        self.timers.iter_mut().filter(|timer| timer.actor == me).for_each(|timer| timer.waits = false);
        self.names.retain(|_, owner| *owner != me);
        let watchers = std::mem::take(&mut self.actors[me].watchers);
        let links = std::mem::take(&mut self.actors[me].links);
        let unnoticed = watchers.is_empty() && links.is_empty();
        for (monitor, watcher) in watchers {
            self.push(watcher, What::Down { monitor, target: me, reason });
        }
        // Among signals to different actors no order shows.
        for other in links {
            self.push(other, What::Exit { from: Some(me), reason, linked: true });
        }
        for (monitor, target) in std::mem::take(&mut self.actors[me].monitoring) {
            self.push(target, What::Unwatch(monitor));
        }
        if unnoticed && matches!(reason, Reason::Panic | Reason::Other) {
            self.log.push(format!("event: {me} crashed {reason:?}"));
        }
    }

    /// Puts something into a mailbox; whether somebody lives to take it.
    fn push(&mut self, to: usize, what: What) -> bool {
        let actor = &mut self.actors[to];
        if !actor.alive {
            return false;
        }
        if let What::TrapExit(trap) = what {
            actor.will_trap = trap;
        }
        let overtakes = match what {
            What::Exit { .. } => !actor.will_trap,
            What::User(_) | What::Stop | What::Rollback(_) | What::Pong(_) | What::Down { .. } => false,
            // `swap` puts these in itself.
            What::Swap { .. } => false,
            _ => true,
        };
        actor.mailbox.push_back(Item { overtakes, what });
        actor.scheduled = true;
        true
    }

    /// Sends a message, or does what the policy of a full mailbox says.
    fn deliver(&mut self, to: usize, script: usize) -> Sent {
        let full = self.offer(to, script);
        let Err(Some(Overflow::Redirect(other))) = full else { return settled(full) };
        // Once only.
        match settled(self.offer(other, script)) {
            Sent::NoProcess => {
                self.dead_letters += 1;
                Sent::Taken
            }
            sent => sent,
        }
    }

    /// The policy where it is for the caller to carry out; `None` for the dead.
    fn offer(&mut self, to: usize, script: usize) -> Result<(), Option<Overflow>> {
        let actor = &mut self.actors[to];
        if !actor.alive {
            return Err(None);
        }
        if let Some(Bound { capacity, overflow }) = actor.bound
            && actor.waiting() >= capacity
        {
            match overflow {
                Overflow::DropOld => {
                    let oldest = actor.mailbox.iter().position(Item::is_user).unwrap();
                    actor.mailbox.remove(oldest);
                    self.dead_letters += 1;
                }
                Overflow::DropNew => {
                    self.dead_letters += 1;
                    return Ok(());
                }
                other => return Err(Some(other)),
            }
        }
        self.push(to, What::User(script));
        Ok(())
    }

    fn link_back(&mut self, me: usize, other: usize) {
        let noproc = |from| What::Exit { from: Some(from), reason: Reason::NoProcess, linked: true };
        if !self.push(other, What::Linked(me)) {
            self.push(me, noproc(other));
        } else if !self.actors[me].alive {
            self.push(other, noproc(me));
        }
    }

    fn says(&mut self, me: usize, what: &str) {
        self.log.push(format!("{me} v{}: {what}", self.actors[me].code.tag));
    }

    fn hears(&mut self, me: usize, what: &str) {
        let line = format!("{what}; names {:?}", owners(self));
        self.says(me, &line);
    }

    fn watch(&mut self, monitor: usize, watcher: usize, target: usize) {
        if !self.push(target, What::Watch { monitor, watcher }) {
            self.push(watcher, What::Down { monitor, target, reason: Reason::NoProcess });
        }
    }

    fn new_version(&mut self, actor: usize) -> u64 {
        self.actors[actor].asked_version += 1;
        self.actors[actor].asked_version
    }

    fn me(&self) -> usize {
        self.running.unwrap()
    }
}

impl Runtime for Reference {
    fn log(&mut self, line: String) {
        self.log.push(line);
    }

    fn actors(&self) -> usize {
        self.actors.len()
    }

    fn monitors(&self) -> usize {
        self.monitors
    }

    fn timers(&self) -> usize {
        self.timers.len()
    }

    fn spawn(
        &mut self,
        starts: bool,
        traps: bool,
        linked: Option<usize>,
        monitored: Option<usize>,
        bound: Option<Bound>,
    ) {
        let me = self.actors.len();
        let watchers = monitored.map(|watcher| (self.monitors, watcher)).into_iter().collect();
        self.actors.push(Actor {
            alive: true,
            starts,
            traps,
            will_trap: traps,
            scheduled: starts,
            bound,
            mailbox: VecDeque::new(),
            links: linked.into_iter().collect(),
            watchers,
            monitoring: BTreeMap::new(),
            code: Code { tag: 0, version: 1 },
            history: Vec::new(),
            asked_version: 1,
        });
        if let Some(watcher) = monitored {
            self.push(watcher, What::Monitoring { monitor: self.monitors, target: me });
            self.monitors += 1;
        }
        if let Some(parent) = linked {
            self.link_back(me, parent);
        }
    }

    fn send(&mut self, to: usize, script: &[Op]) -> bool {
        self.scripts.push(script.to_vec());
        self.deliver(to, self.scripts.len() - 1) == Sent::Taken
    }

    fn stop(&mut self, actor: usize) -> bool {
        self.push(actor, What::Stop)
    }

    fn kill(&mut self, actor: usize) -> bool {
        self.push(actor, What::Kill)
    }

    fn exit(&mut self, actor: usize, from: Option<usize>, reason: Reason) -> bool {
        match reason {
            Reason::Kill => self.push(actor, What::Kill),
            reason => self.push(actor, What::Exit { from, reason, linked: false }),
        }
    }

    fn link(&mut self, a: usize, b: usize) -> bool {
        let alive = a != b && self.push(a, What::Linked(b));
        if alive {
            self.link_back(a, b);
        }
        alive
    }

    fn unlink(&mut self, a: usize, b: usize) -> bool {
        let alive = self.push(a, What::Unlinked(b));
        self.push(b, What::Unlinked(a)) || alive
    }

    fn trap_exit(&mut self, actor: usize, trap: bool) -> bool {
        self.push(actor, What::TrapExit(trap))
    }

    fn monitor(&mut self, watcher: usize, target: usize) {
        let monitor = self.monitors;
        self.monitors += 1;
        self.push(watcher, What::Monitoring { monitor, target });
        self.watch(monitor, watcher, target);
    }

    fn demonitor(&mut self, watcher: usize, monitor: usize) -> bool {
        self.push(watcher, What::Demonitor(monitor))
    }

    fn ping(&mut self, actor: usize, from: usize) -> bool {
        self.push(actor, What::Ping(from))
    }

    fn swap(&mut self, actor: usize, now: bool, fails: bool) -> Option<u64> {
        self.swaps += 1;
        if !self.actors[actor].alive {
            return None;
        }
        let (tag, version) = (self.swaps, self.new_version(actor));
        self.push(actor, What::Swap { tag, version, fails });
        self.actors[actor].mailbox.back_mut().unwrap().overtakes = now;
        Some(version)
    }

    fn rollback(&mut self, actor: usize) -> Option<u64> {
        if !self.actors[actor].alive || self.actors[actor].asked_version == 1 {
            return None;
        }
        let version = self.new_version(actor);
        self.push(actor, What::Rollback(version));
        Some(version)
    }

    fn register(&mut self, name: usize, actor: usize) -> Result<(), Option<usize>> {
        match self.names.get(&name) {
            Some(owner) if *owner != actor => Err(Some(*owner)),
            _ if !self.actors[actor].alive => Err(None),
            _ => {
                self.names.insert(name, actor);
                Ok(())
            }
        }
    }

    fn unregister(&mut self, name: usize) -> bool {
        self.names.remove(&name).is_some()
    }

    fn whereis(&self, name: usize) -> Option<usize> {
        self.names.get(&name).copied()
    }

    fn timer(&mut self, actor: usize, delay: u64) {
        let at = free_deadline(&mut self.deadlines, self.now + delay);
        self.scripts.push(Vec::new());
        let waits = self.actors[actor].alive;
        self.dead_letters += u64::from(!waits);
        self.timers.push(Timer { at, actor, script: self.scripts.len() - 1, waits });
    }

    fn cancel(&mut self, timer: usize) -> bool {
        std::mem::replace(&mut self.timers[timer].waits, false)
    }

    fn look(&mut self, actor: usize) -> Option<(usize, u64)> {
        let actor = &self.actors[actor];
        actor.alive.then_some((actor.waiting(), actor.asked_version))
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.fire_due();
            if !self.actors.iter().any(|actor| actor.scheduled) {
                break;
            }
            self.follow();
        }
    }

    fn pass(&mut self, tenths: u64) {
        let end = (self.now / 100 + tenths) * 100;
        while self.now < end || self.actors.iter().any(|actor| actor.scheduled) {
            assert!(self.follow(), "time stood still");
        }
    }

    fn own_link(&mut self, other: usize) {
        let me = self.me();
        if other != me && self.actors[me].links.insert(other) {
            self.link_back(me, other);
        }
    }

    fn own_unlink(&mut self, other: usize) {
        let me = self.me();
        if self.actors[me].links.remove(&other) {
            self.push(other, What::Unlinked(me));
        }
    }

    fn own_monitor(&mut self, target: usize) {
        let (me, monitor) = (self.me(), self.monitors);
        self.monitors += 1;
        self.actors[me].monitoring.insert(monitor, target);
        self.watch(monitor, me, target);
    }

    fn own_demonitor(&mut self, monitor: usize) {
        self.stop_monitoring(self.me(), monitor);
    }

    fn consume(&mut self, reductions: u32) {
        self.spent += reductions;
    }
}
