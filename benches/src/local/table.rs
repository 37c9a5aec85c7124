//! The workloads, as rows of the report.

use super::{
    ask, bang, big, budget, chameneos, count, fairness, fib, fork_join, idle, memory, ping_pong, ring,
    send_many, skynet, spawn, straggler, swap, timers, urgent, wake,
};
use crate::measure::Goal::{Times, Value};
use crate::measure::Run::{self, Many, One};
use crate::measure::{BYTES, Group, Metric, NS, RATE, SECONDS, US, Workload};

const fn row(
    group: Group,
    name: &'static str,
    about: &'static str,
    work: u64,
    metrics: &'static [Metric],
    run: Run,
) -> Workload {
    Workload { name, about, group, work, metrics, alone: false, run }
}

/// A row that measures the memory of a process.
const fn held(
    name: &'static str,
    about: &'static str,
    work: u64,
    metrics: &'static [Metric],
    run: Run,
) -> Workload {
    Workload { name, about, group: Group::Memory, work, metrics, alone: true, run }
}

const PERCENTILES: &[Metric] = &[Metric::new("p50", US), Metric::new("p99", US)];
const HANDLED: &[Metric] = &[Metric::new("rate", RATE)];

/// Lines of one row may be long: a row is one thing.
#[rustfmt::skip]
pub(crate) static WORKLOADS: [Workload; 31] = [
    row(Group::Messages, "count", "one thread sends, one actor counts", 10_000_000,
        &[Metric::new("rate", RATE).limit("33–38")
            .goals(&[Value(27.0), Times(4.0, "erlang"), Times(3.0, "actix"), Times(3.0, "ractor"), Times(3.0, "kameo")])],
        One(count::run)),
    row(Group::Messages, "send-many", "as count, a hundred messages a call", 10_000_000, HANDLED, One(send_many::run)),
    row(Group::Messages, "fork-join", "one thread sends to 60 actors in turn", 600_000,
        &[Metric::new("rate", RATE).limit("28–32").goals(&[Value(22.0), Times(7.0, "erlang"), Times(3.0, "kameo")])],
        One(fork_join::run)),
    row(Group::Messages, "bang", "a thousand actors send to one", 5_000_000, HANDLED, One(bang::run)),
    row(Group::Messages, "big", "120 actors ping each other at random", 2_400_000, HANDLED, One(big::run)),
    row(Group::Trips, "ping-pong", "a round trip of two actors", 2_000_000,
        &[Metric::new("time", NS).limit("62–68").goals(&[Value(100.0), Times(7.0, "erlang")])],
        One(ping_pong::run)),
    row(Group::Trips, "ring", "a hop in a ring of 100 actors", 5_000_000,
        &[Metric::new("time", NS).limit("29–36").goals(&[Value(50.0), Times(8.0, "erlang")])],
        One(ring::run)),
    row(Group::Trips, "ask", "an actor asks another and awaits the answer", 1_000_000,
        &[Metric::new("time", NS).goals(&[Value(250.0)])],
        One(ask::run)),
    row(Group::Trips, "chameneos", "a meeting of two of 100 chameneos in one mall", 200_000,
        &[Metric::new("time", NS)],
        One(chameneos::run)),
    row(Group::Actors, "spawn", "one actor, started; each then handles a message", 1_000_000,
        &[Metric::new("time", NS).limit("38–58").goals(&[Value(150.0), Times(20.0, "erlang")])],
        One(spawn::run)),
    row(Group::Actors, "create", "one actor, started, sent a message and ended", 400_000,
        &[Metric::new("time", NS)],
        One(fork_join::create)),
    row(Group::Actors, "fib", "one of 150 049 actors that compute fib(25)", 150_049,
        &[Metric::new("time", NS)],
        One(fib::run)),
    held("memory", "an idle actor after one message, of a million", 1_000_000,
        &[Metric::new("held", BYTES).limit("88–94").goals(&[Value(192.0)])],
        One(memory::run)),
    held("straggler", "an unread message, the 62 before it read", 100_000,
        &[Metric::new("held", BYTES)],
        One(straggler::run)),
    held("straggler-threads", "an unread message, its sending thread gone", 20_000,
        &[Metric::new("held", BYTES)],
        One(straggler::threads)),
    row(Group::Tree, "skynet", "1 111 111 actors in a tree, their numbers summed", 1_000_000,
        &[Metric::new("time", SECONDS).goals(&[Value(0.4)])],
        One(skynet::run)),
    row(Group::Timers, "timers", "one timer, with a million alive", 1_000_000,
        &[Metric::new("arm", NS).goals(&[Value(60.0)]), Metric::new("cancel", NS).goals(&[Value(40.0)])],
        Many(timers::run)),
    row(Group::Waits, "fairness", "a thousand actors beside one that is always fed", 1000,
        &[Metric::new("p50", US), Metric::new("p99", US).goals(&[Value(1000.0)])],
        Many(fairness::run)),
    row(Group::Waits, "wake-10us", "after 10 us without a message", 10_000, PERCENTILES, Many(wake::run::<10>)),
    row(Group::Waits, "wake-100us", "after 100 us without a message", 3000, PERCENTILES, Many(wake::run::<100>)),
    row(Group::Waits, "wake-1ms", "after 1 ms without a message", 500, PERCENTILES, Many(wake::run::<1000>)),
    row(Group::Waits, "wake-10ms", "after 10 ms without a message", 100, PERCENTILES, Many(wake::run::<10_000>)),
    row(Group::Budgets, "budget-1", "fork-join, 1 message a turn", 600_000, HANDLED, One(budget::run::<1>)),
    row(Group::Budgets, "budget-5", "fork-join, 5 messages a turn", 600_000, HANDLED, One(budget::run::<5>)),
    row(Group::Budgets, "budget-20", "fork-join, 20 messages a turn", 600_000, HANDLED, One(budget::run::<20>)),
    row(Group::Budgets, "budget-100", "fork-join, 100 messages a turn", 600_000, HANDLED, One(budget::run::<100>)),
    row(Group::Budgets, "budget-400", "fork-join, 400 messages a turn", 600_000, HANDLED, One(budget::run::<400>)),
    row(Group::Budgets, "budget-2000", "fork-join, 2000 messages a turn", 600_000, HANDLED, One(budget::run::<2000>)),
    row(Group::Control, "hot-swap", "one swap", 500_000, &[Metric::new("time", NS)], One(swap::run)),
    row(Group::Control, "urgent", "messages handled after a kill under a flood", 2_000_000,
        &[Metric::new("after", "messages").goals(&[Value(1.0)])],
        One(urgent::run)),
    row(Group::Control, "idle", "processor time of a runtime with a million idle actors", 1_000_000,
        &[Metric::new("used", "% of a core").goals(&[Value(0.5)])],
        One(idle::run)),
];
