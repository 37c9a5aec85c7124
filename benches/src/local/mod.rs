//! Workloads inside one runtime.

mod ask;
mod bang;
mod count;
mod fairness;
mod fork_join;
mod idle;
pub(crate) mod memory;
mod ping_pong;
mod ring;
mod skynet;
mod spawn;
mod swap;
mod urgent;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use myrmidon::Runtime;

use crate::measure::Workload;

pub(crate) static WORKLOADS: [Workload; 14] = [
    Workload {
        name: "count",
        metric: "one thread sends, one actor counts",
        unit: "M msg/s",
        work: 10_000_000,
        run: count::run,
    },
    Workload {
        name: "ping-pong",
        metric: "round trip of two actors",
        unit: "ns",
        work: 2_000_000,
        run: ping_pong::run,
    },
    Workload { name: "ring", metric: "hop in a ring of 100", unit: "ns", work: 5_000_000, run: ring::run },
    Workload {
        name: "fork-join",
        metric: "one thread sends to 60 actors in turn",
        unit: "M msg/s",
        work: 600_000,
        run: fork_join::run,
    },
    Workload {
        name: "spawn",
        metric: "one actor, started; each then handles a message",
        unit: "ns",
        work: 1_000_000,
        run: spawn::run,
    },
    Workload {
        name: "create",
        metric: "one actor, started, sent a message and ended",
        unit: "ns",
        work: 400_000,
        run: fork_join::create,
    },
    Workload {
        name: "memory",
        metric: "resident memory of an idle actor after one message",
        unit: "bytes",
        work: 1_000_000,
        run: memory::run,
    },
    Workload {
        name: "skynet",
        metric: "1 111 111 actors in a tree",
        unit: "s",
        work: 1_000_000,
        run: skynet::run,
    },
    Workload {
        name: "bang",
        metric: "a thousand actors send to one",
        unit: "M msg/s",
        work: 5_000_000,
        run: bang::run,
    },
    Workload {
        name: "ask",
        metric: "one actor asks another and awaits the answer",
        unit: "ns",
        work: 1_000_000,
        run: ask::run,
    },
    Workload {
        name: "fairness",
        metric: "wait of 99 % of a thousand actors' messages beside one that is fed without pause",
        unit: "us",
        work: 1000,
        run: fairness::run,
    },
    Workload {
        name: "idle",
        metric: "processor time of a runtime with a million idle actors",
        unit: "% of a core",
        work: 1_000_000,
        run: idle::run,
    },
    Workload { name: "hot-swap", metric: "one swap", unit: "ns", work: 500_000, run: swap::run },
    Workload {
        name: "urgent",
        metric: "messages handled after a kill under a flood",
        unit: "messages",
        work: 2_000_000,
        run: urgent::run,
    },
];

const LIMIT: Duration = Duration::from_secs(120);

/// A runtime for one run.
fn runtime() -> Result<Runtime, String> {
    Runtime::new().map_err(|error| error.to_string())
}

/// How the actors tell the bench that they are done, with the count that they saw.
struct Finish {
    tell: SyncSender<u64>,
    told: Receiver<u64>,
}

impl Finish {
    fn new(actors: usize) -> Self {
        let (tell, told) = sync_channel(actors);
        Self { tell, told }
    }

    /// Waits for `actors` counts and compares their sum with what was sent.
    fn expect(&self, actors: usize, total: u64) -> Result<(), String> {
        let mut sum = 0;
        for _ in 0..actors {
            sum += self.told.recv_timeout(LIMIT).map_err(|_| format!("not done within {LIMIT:?}"))?;
        }
        (sum == total).then_some(()).ok_or_else(|| format!("{sum} messages handled of {total}"))
    }
}

/// Waits for a condition; whether it came true in time.
fn wait_until(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    true
}

/// Millions a second.
fn rate(work: u64, since: Instant) -> f64 {
    work as f64 / since.elapsed().as_secs_f64() / 1e6
}

/// Nanoseconds for one.
fn each(work: u64, since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e9 / work as f64
}

#[cfg(test)]
mod tests {
    use super::WORKLOADS;

    #[test]
    fn every_workload_completes_and_counts_right() {
        for workload in &WORKLOADS {
            if workload.name == "memory" {
                // Needs a process of its own, which a test binary does not offer.
                assert!(super::memory::measure(1000).is_ok());
                continue;
            }
            let figure = (workload.run)(workload.work / 1000);
            assert!(figure.as_ref().is_ok_and(|figure| *figure >= 0.0), "{}: {figure:?}", workload.name);
        }
    }
}
