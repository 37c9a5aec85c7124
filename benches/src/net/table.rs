//! The workloads, as rows of the report.

use crate::measure::Goal::{Beside, Times, Value};
use crate::measure::{Goal, Group, MIB, Metric, RATE, Run, SPEED, US, Workload};

const fn row(
    group: Group,
    name: &'static str,
    about: &'static str,
    work: u64,
    metrics: &'static [Metric],
) -> Workload {
    Workload { name, about, group, work, metrics, alone: false, run: Run::Apart }
}

const fn rate(goals: &'static [Goal]) -> [Metric; 1] {
    [Metric::new("rate", RATE).goals(goals)]
}

const fn trip(goals: &'static [Goal]) -> [Metric; 2] {
    [Metric::new("p50", US).goals(goals), Metric::new("p99", US)]
}

/// At most 1.3 times, and 1.2 times, as long.
const A_THIRD_MORE: f64 = 0.77;
const A_FIFTH_MORE: f64 = 0.83;

/// What the two sides may hold by their documentation (`docs/mesh.md`), and 1 MiB of pages: the sender its queue, and
/// over QUIC a window of each message lane; the receiver what 64 actors may have waiting, and two windows.
const fn held(sender: &'static [Goal]) -> [Metric; 2] {
    [Metric::new("sender", MIB).goals(sender), Metric::new("receiver", MIB).goals(&[Value(49.0)])]
}

/// Lines of one row may be long: a row is one thing.
#[rustfmt::skip]
pub(crate) static WORKLOADS: [Workload; 26] = [
    row(Group::NetMessages, "tcp-small", "64 bytes to one actor, TCP", 2_000_000, &rate(&[Value(5.0)])),
    row(Group::NetMessages, "tls-small", "64 bytes to one actor, TLS over TCP", 2_000_000, &rate(&[])),
    row(Group::NetMessages, "quic-small", "64 bytes to one actor, QUIC", 2_000_000,
        &rate(&[Value(3.0), Beside(0.5, "tcp-small")])),
    row(Group::NetLarge, "tcp-large", "1 MiB to one actor, TCP", 2_000,
        &[Metric::new("speed", SPEED).goals(&[Times(0.7, "raw")])]),
    row(Group::NetLarge, "tls-large", "1 MiB to one actor, TLS over TCP", 2_000, &[Metric::new("speed", SPEED)]),
    row(Group::NetLarge, "quic-large", "1 MiB to one actor, QUIC", 2_000,
        &[Metric::new("speed", SPEED).goals(&[Times(0.85, "raw"), Beside(1.5, "quic-large-1452")])]),
    row(Group::NetLarge, "quic-large-1452", "the same in packets of 1 452 bytes", 1_000, &[Metric::new("speed", SPEED)]),
    row(Group::NetTrips, "tcp-trip", "64 bytes there and back, TCP", 10_000, &trip(&[])),
    row(Group::NetTrips, "tls-trip", "64 bytes there and back, TLS over TCP", 10_000, &trip(&[])),
    row(Group::NetTrips, "quic-trip", "64 bytes there and back, QUIC", 10_000, &trip(&[])),
    row(Group::NetTrips, "tcp-inside", "the same within one process, TCP", 10_000, &trip(&[Times(A_THIRD_MORE, "raw")])),
    row(Group::NetTrips, "quic-inside", "the same within one process, QUIC", 10_000, &trip(&[Times(A_THIRD_MORE, "raw")])),
    row(Group::NetTrips, "tcp-resolve", "ask for a name, TCP", 1_500, &trip(&[Beside(A_FIFTH_MORE, "tcp-trip")])),
    row(Group::NetTrips, "quic-resolve", "ask for a name, QUIC", 1_500, &trip(&[Beside(A_FIFTH_MORE, "quic-trip")])),
    row(Group::NetPings, "tcp-ping", "ping while 1 MiB messages fill the link, TCP", 500,
        &[Metric::new("p50", US), Metric::new("p99", US).goals(&[Value(5_000.0)])]),
    row(Group::NetPings, "tls-ping", "ping while 1 MiB messages fill the link, TLS over TCP", 500, &trip(&[])),
    row(Group::NetPings, "quic-ping", "ping while 1 MiB messages fill the link, QUIC", 500,
        &[Metric::new("p50", US), Metric::new("p99", US).goals(&[Value(2_000.0)])]),
    row(Group::NetMemory, "tcp-held", "16 KiB messages to 64 actors of a process that stands still, then to 64 that do, TCP", 4_096,
        &held(&[Value(17.0)])),
    row(Group::NetMemory, "quic-held", "16 KiB messages to 64 actors of a process that stands still, then to 64 that do, QUIC", 4_096,
        &held(&[Value(19.0)])),
    row(Group::PythonMessages, "python-tcp-small", "64 bytes to a Python function, TCP", 200_000, &rate(&[Value(1.2)])),
    row(Group::PythonMessages, "python-tls-small", "64 bytes to a Python function, TLS over TCP", 200_000, &rate(&[])),
    row(Group::PythonMessages, "python-quic-small", "64 bytes to a Python function, QUIC", 200_000, &rate(&[Value(0.7)])),
    row(Group::PythonTrips, "python-tcp-trip", "64 bytes there and back, TCP", 5_000, &trip(&[Times(1.0, "erlang")])),
    row(Group::PythonTrips, "python-tls-trip", "64 bytes there and back, TLS over TCP", 5_000, &trip(&[])),
    row(Group::PythonTrips, "python-quic-trip", "64 bytes there and back, QUIC", 5_000,
        &trip(&[Beside(A_THIRD_MORE, "python-tcp-trip")])),
    row(Group::PythonTrips, "python-tcp-resolve", "resolve_remote, TCP", 1_500, &trip(&[Beside(A_FIFTH_MORE, "python-tcp-trip")])),
];
