//! The workloads as scripts, for every library.

mod actors;
mod messages;
mod timers;
mod trips;
mod waits;

pub(super) use messages::Counter;
pub(super) use timers::time_timers;

use super::Port;
use super::library::Library;
use crate::measure::Run::{self, Many, One};

/// What every library does. Work is divided so that a run takes about half a second.
pub(super) fn ports<L: Library>() -> Vec<Port> {
    let port = |work, divisor, run: Run| Port { work, divisor, run };
    vec![
        port("count", 5, One(messages::count::<L>)),
        port("fork-join", 1, One(messages::fork_join::<L>)),
        port("bang", 5, One(messages::bang::<L>)),
        port("big", 8, One(messages::big::<L>)),
        port("ping-pong", 8, One(trips::ping_pong::<L>)),
        port("ring", 10, One(trips::ring::<L>)),
        port("chameneos", 2, One(trips::chameneos::<L>)),
        port("spawn", 10, One(actors::spawn::<L>)),
        port("create", 4, One(actors::create::<L>)),
        port("fib", 2, One(actors::fib::<L>)),
        port("skynet", 10, One(actors::skynet::<L>)),
        port("memory", 5, One(actors::memory::<L>)),
        port("fairness", 1, Many(waits::fairness::<L>)),
        port("wake-10us", 1, Many(waits::wake::<L, 10>)),
        port("wake-100us", 1, Many(waits::wake::<L, 100>)),
        port("wake-1ms", 1, Many(waits::wake::<L, 1000>)),
        port("wake-10ms", 1, Many(waits::wake::<L, 10_000>)),
    ]
}

/// The figure of a workload that has one.
fn one(figures: crate::measure::Figures) -> Result<f64, String> {
    figures?.first().copied().ok_or_else(|| "no figure".to_owned())
}

fn sent(alive: bool) -> Result<(), &'static str> {
    alive.then_some(()).ok_or("an actor has ended")
}
