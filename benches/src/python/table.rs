//! The workloads, as rows of the report.

use crate::measure::Goal::{Times, Value};
use crate::measure::{BYTES, Goal, Group, Metric, RATE, Run, THOUSANDS, US, Workload};

const fn row(
    group: Group,
    name: &'static str,
    about: &'static str,
    work: u64,
    metrics: &'static [Metric],
) -> Workload {
    Workload { name, about, group, work, metrics, alone: true, run: Run::Apart }
}

const fn rate(goals: &'static [Goal], limit: &'static str) -> [Metric; 1] {
    [Metric::new("rate", RATE).goals(goals).limit(limit)]
}

const fn asks(goals: &'static [Goal]) -> [Metric; 1] {
    [Metric::new("rate", THOUSANDS).goals(goals)]
}

const fn waits(p50: &'static [Goal], p99: &'static [Goal]) -> [Metric; 2] {
    [Metric::new("p50", US).goals(p50), Metric::new("p99", US).goals(p99)]
}

/// Lines of one row may be long: a row is one thing.
#[rustfmt::skip]
pub(crate) static WORKLOADS: [Workload; 17] = [
    row(Group::LaneMessages, "py-count", "one thread sends, one actor counts", 3_000_000,
        &rate(&[Value(3.0), Times(3.0, "asyncio")], "3.5–4.1")),
    row(Group::LaneMessages, "py-count-object", "the same with an object that has `__call__`", 3_000_000, &rate(&[], "2.8–3.7")),
    row(Group::LaneMessages, "py-send-many", "the same with a thousand messages a call", 3_000_000, &rate(&[], "")),
    row(Group::LaneMessages, "py-send", "the calls of `send` alone, their actor held up meanwhile", 2_000_000,
        &rate(&[Value(4.0)], "4.4–5.9")),
    row(Group::LaneMessages, "py-fan", "one message to each of so many actors", 300_000, &rate(&[Value(1.5)], "")),
    row(Group::LaneActors, "py-spawn", "start actors", 500_000, &rate(&[Value(1.5)], "")),
    row(Group::LaneActors, "py-hot-swap", "`hot_swap` of one actor", 1_000_000, &rate(&[Value(3.0)], "")),
    row(Group::LaneMemory, "py-memory", "an idle actor after one message", 500_000,
        &[Metric::new("memory", BYTES).goals(&[Value(300.0)])]),
    row(Group::LaneTrips, "py-ping-pong", "two actors, there and back", 500_000,
        &[Metric::new("trip", US).goals(&[Value(0.6)]).limit("0.38–0.41")]),
    row(Group::LaneAsks, "py-ask-1", "ask from a task of asyncio, one in flight", 100_000, &asks(&[Value(15.0)])),
    row(Group::LaneAsks, "py-ask-100", "ask from a hundred tasks of asyncio at once", 200_000, &asks(&[Value(200.0)])),
    row(Group::LaneAsks, "py-ask-loop", "ask an `async def` actor of the same loop, one in flight", 100_000, &asks(&[])),
    row(Group::LaneAsks, "py-ask-loop-100", "the same from a hundred tasks at once", 200_000, &asks(&[])),
    row(Group::LaneWaits, "py-wake", "from another thread to an idle actor, a message each millisecond", 2_000,
        &waits(&[Value(18.0)], &[Value(100.0)])),
    row(Group::LaneWaits, "py-fairness", "a thousand actors beside one that is always fed", 200, &waits(&[], &[])),
    row(Group::LanePings, "py-ping-idle", "another process pings a node whose handlers do nothing", 1_000, &waits(&[], &[])),
    row(Group::LanePings, "py-ping-busy", "the same where they are never idle", 1_000, &waits(&[], &[Value(1_000.0)])),
];
