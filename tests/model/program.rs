//! Programs: what is asked of the actors, and how it is asked of a runtime or of the model alike.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

/// One thing to do, by the test or by an actor that handles a message. Actors, monitors and timers are
/// numbers in the order of their creation, taken modulo how many there are.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Spawn {
        starts: bool,
        traps: bool,
        linked: Option<usize>,
        monitored: Option<usize>,
    },
    /// A message; its receiver does this.
    Send(usize, Vec<Self>),
    Stop(usize),
    Kill(usize),
    Exit(usize, Reason),
    Link(usize, usize),
    Unlink(usize, usize),
    TrapExit(usize, bool),
    Monitor(usize, usize),
    Demonitor(usize, usize),
    Ping(usize, usize),
    Swap {
        actor: usize,
        now: bool,
        fails: bool,
    },
    Rollback(usize),
    Register(usize, usize),
    Unregister(usize),
    Timer(usize, u64),
    Cancel(usize),
    Look(usize),
    /// Only for the test: so many steps; so many tenths of a second.
    Steps(usize),
    Pass(u64),
    /// Only for an actor, about itself.
    OwnLink(usize),
    OwnUnlink(usize),
    OwnMonitor(usize),
    OwnDemonitor(usize),
    OwnExit(usize, Reason),
    Consume(u32),
    Finish(Reason),
    Panic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Normal,
    Shutdown,
    Kill,
    Killed,
    NoProcess,
    Other,
    Panic,
}

/// What a handler does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Continue,
    Finish(Reason),
    Panic,
}

/// A runtime, or the model of one. Answers are what its callers see.
pub(crate) trait Runtime {
    fn log(&mut self, line: String);
    fn actors(&self) -> usize;
    fn monitors(&self) -> usize;
    fn timers(&self) -> usize;
    fn spawn(&mut self, starts: bool, traps: bool, linked: Option<usize>, monitored: Option<usize>);
    fn send(&mut self, to: usize, script: &[Op]) -> bool;
    fn stop(&mut self, actor: usize) -> bool;
    fn kill(&mut self, actor: usize) -> bool;
    fn exit(&mut self, actor: usize, from: Option<usize>, reason: Reason) -> bool;
    fn link(&mut self, a: usize, b: usize) -> bool;
    fn unlink(&mut self, a: usize, b: usize) -> bool;
    fn trap_exit(&mut self, actor: usize, trap: bool) -> bool;
    fn monitor(&mut self, watcher: usize, target: usize);
    fn demonitor(&mut self, watcher: usize, monitor: usize) -> bool;
    fn ping(&mut self, actor: usize, from: usize) -> bool;
    fn swap(&mut self, actor: usize, now: bool, fails: bool) -> Option<u64>;
    fn rollback(&mut self, actor: usize) -> Option<u64>;
    /// The owner that the name has if not this one, where it lives.
    fn register(&mut self, name: usize, actor: usize) -> Result<(), Option<usize>>;
    fn unregister(&mut self, name: usize) -> bool;
    fn whereis(&self, name: usize) -> Option<usize>;
    fn timer(&mut self, actor: usize, delay: u64);
    fn cancel(&mut self, timer: usize) -> bool;
    /// Messages waiting and version, of the living.
    fn look(&mut self, actor: usize) -> Option<(usize, u64)>;
    fn steps(&mut self, count: usize);
    fn pass(&mut self, tenths: u64);
    /// What the actor that runs does about itself.
    fn own_link(&mut self, other: usize);
    fn own_unlink(&mut self, other: usize);
    fn own_monitor(&mut self, target: usize);
    fn own_demonitor(&mut self, monitor: usize);
    fn consume(&mut self, reductions: u32);
}

/// Three names are fought over.
pub(crate) const NAMES: usize = 3;

/// Does one thing, and writes down what came of it. `me` is the actor that does it.
pub(crate) fn perform(rt: &mut impl Runtime, me: Option<usize>, op: &Op) -> Outcome {
    match op {
        Op::Finish(reason) if me.is_some() => return Outcome::Finish(*reason),
        Op::Panic if me.is_some() => return Outcome::Panic,
        _ => {}
    }
    if let Some(answer) = answer(rt, me, op) {
        let who = me.map_or("test".to_owned(), |me| me.to_string());
        rt.log(format!("{who}: {} -> {answer}", name(op)));
    }
    Outcome::Continue
}

/// Does all of it, or as far as the actor gets.
pub(crate) fn perform_all(rt: &mut impl Runtime, me: usize, script: &[Op]) -> Outcome {
    let outcomes = script.iter().map(|op| perform(rt, Some(me), op));
    outcomes.into_iter().find(|outcome| *outcome != Outcome::Continue).unwrap_or(Outcome::Continue)
}

fn answer(rt: &mut impl Runtime, me: Option<usize>, op: &Op) -> Option<String> {
    let count = rt.actors();
    if let Op::Spawn { starts, traps, linked, monitored } = op {
        let known = |actor: &Option<usize>| actor.filter(|_| count > 0).map(|actor| actor % count);
        rt.spawn(*starts, *traps, known(linked), known(monitored));
        return Some(count.to_string());
    }
    match op {
        Op::Steps(steps) if me.is_none() => rt.steps(*steps),
        Op::Pass(tenths) if me.is_none() => rt.pass(*tenths),
        _ if count > 0 => return about_actors(rt, me, op, |actor| actor % count),
        _ => {}
    }
    None
}

fn about_actors(
    rt: &mut impl Runtime,
    me: Option<usize>,
    op: &Op,
    actor: impl Fn(usize) -> usize,
) -> Option<String> {
    let (monitors, timers) = (rt.monitors(), rt.timers());
    let text = match op {
        Op::Send(to, script) => rt.send(actor(*to), script).to_string(),
        Op::Stop(target) => rt.stop(actor(*target)).to_string(),
        Op::Kill(target) => rt.kill(actor(*target)).to_string(),
        Op::Exit(target, reason) => rt.exit(actor(*target), None, *reason).to_string(),
        Op::Link(a, b) => rt.link(actor(*a), actor(*b)).to_string(),
        Op::Unlink(a, b) => rt.unlink(actor(*a), actor(*b)).to_string(),
        Op::TrapExit(target, trap) => rt.trap_exit(actor(*target), *trap).to_string(),
        Op::Monitor(watcher, target) => {
            rt.monitor(actor(*watcher), actor(*target));
            monitors.to_string()
        }
        Op::Demonitor(watcher, monitor) if monitors > 0 => {
            rt.demonitor(actor(*watcher), monitor % monitors).to_string()
        }
        Op::Ping(target, from) => rt.ping(actor(*target), actor(*from)).to_string(),
        Op::Swap { actor: target, now, fails } => format!("{:?}", rt.swap(actor(*target), *now, *fails)),
        Op::Rollback(target) => format!("{:?}", rt.rollback(actor(*target))),
        Op::Register(name, owner) => format!("{:?}", rt.register(name % NAMES, actor(*owner))),
        Op::Unregister(name) => rt.unregister(name % NAMES).to_string(),
        Op::Timer(target, delay) => {
            rt.timer(actor(*target), *delay);
            timers.to_string()
        }
        Op::Cancel(timer) if timers > 0 => rt.cancel(timer % timers).to_string(),
        Op::Look(target) => format!("{:?} {:?}", rt.look(actor(*target)), owners(rt)),
        own if me.is_some() => return about_itself(rt, me, own, actor),
        _ => return None,
    };
    Some(text)
}

fn about_itself(
    rt: &mut impl Runtime,
    me: Option<usize>,
    op: &Op,
    actor: impl Fn(usize) -> usize,
) -> Option<String> {
    let monitors = rt.monitors();
    match op {
        Op::OwnLink(other) => rt.own_link(actor(*other)),
        Op::OwnUnlink(other) => rt.own_unlink(actor(*other)),
        Op::OwnMonitor(target) => rt.own_monitor(actor(*target)),
        Op::OwnDemonitor(monitor) if monitors > 0 => rt.own_demonitor(monitor % monitors),
        Op::OwnExit(target, reason) => return Some(rt.exit(actor(*target), me, *reason).to_string()),
        Op::Consume(reductions) => rt.consume(*reductions),
        _ => {}
    }
    None
}

/// Who has the names.
pub(crate) fn owners(rt: &impl Runtime) -> Vec<Option<usize>> {
    (0..NAMES).map(|name| rt.whereis(name)).collect()
}

/// When a timer set for `at` is due, in milliseconds: not within three of any other, nor of a full
/// tenth of a second, up to which the test lets time pass. So the order of all that is due is known,
/// whatever the grain of the timers.
pub(crate) fn free_deadline(taken: &mut BTreeSet<u64>, mut at: u64) -> u64 {
    while taken.range(at.saturating_sub(2)..=at + 2).next().is_some() || !(3..=97).contains(&(at % 100)) {
        at += 1;
    }
    taken.insert(at);
    at
}

fn name(op: &Op) -> String {
    let text = format!("{op:?}");
    // Without what a message tells its receiver to do.
    text.split('[').next().unwrap_or_default().to_owned()
}

pub(crate) fn program() -> impl Strategy<Value = Vec<Op>> {
    let from_outside = prop_oneof![
        8 => op().boxed(),
        3 => (1_usize..6).prop_map(Op::Steps),
        1 => (1_u64..4).prop_map(Op::Pass),
    ];
    (vec(spawn(), 2..5), vec(from_outside, 0..60)).prop_map(|(spawns, ops)| [spawns, ops].concat())
}

fn op() -> impl Strategy<Value = Op> {
    simple().prop_recursive(2, 12, 5, |inner| {
        let script = vec(inner.clone(), 0..5);
        prop_oneof![
            1 => inner,
            2 => (any::<usize>(), script).prop_map(|(to, script)| Op::Send(to, script)),
        ]
    })
}

fn spawn() -> impl Strategy<Value = Op> {
    let (linked, monitored) = (of_some(), of_some());
    (any::<bool>(), any::<bool>(), linked, monitored)
        .prop_map(|(starts, traps, linked, monitored)| Op::Spawn { starts, traps, linked, monitored })
}

fn of_some() -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(0.3, 0_usize..8)
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![Just(Reason::Normal), Just(Reason::Shutdown), Just(Reason::Kill), Just(Reason::Other)]
}

fn simple() -> impl Strategy<Value = Op> {
    let actor = || 0_usize..8;
    let any_number = || 0_usize..64;
    prop_oneof![
        6 => actor().prop_map(|to| Op::Send(to, Vec::new())),
        2 => spawn(),
        1 => actor().prop_map(Op::Stop),
        1 => actor().prop_map(Op::Kill),
        2 => (actor(), reason()).prop_map(|(target, reason)| Op::Exit(target, reason)),
        2 => (actor(), actor()).prop_map(|(a, b)| Op::Link(a, b)),
        1 => (actor(), actor()).prop_map(|(a, b)| Op::Unlink(a, b)),
        1 => (actor(), any::<bool>()).prop_map(|(target, trap)| Op::TrapExit(target, trap)),
        2 => (actor(), actor()).prop_map(|(watcher, target)| Op::Monitor(watcher, target)),
        1 => (actor(), any_number()).prop_map(|(watcher, monitor)| Op::Demonitor(watcher, monitor)),
        1 => (actor(), actor()).prop_map(|(target, from)| Op::Ping(target, from)),
        2 => (actor(), any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(actor, now, fails)| Op::Swap { actor, now, fails }),
        1 => actor().prop_map(Op::Rollback),
        2 => (any_number(), actor()).prop_map(|(name, owner)| Op::Register(name, owner)),
        1 => any_number().prop_map(Op::Unregister),
        1 => (actor(), 0_u64..300).prop_map(|(target, delay)| Op::Timer(target, delay)),
        1 => any_number().prop_map(Op::Cancel),
        2 => actor().prop_map(Op::Look),
        1 => actor().prop_map(Op::OwnLink),
        1 => actor().prop_map(Op::OwnUnlink),
        1 => actor().prop_map(Op::OwnMonitor),
        1 => any_number().prop_map(Op::OwnDemonitor),
        1 => (actor(), reason()).prop_map(|(target, reason)| Op::OwnExit(target, reason)),
        1 => (0_u32..3).prop_map(Op::Consume),
        1 => reason().prop_map(Op::Finish),
        1 => Just(Op::Panic),
    ]
}
