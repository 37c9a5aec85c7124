//! Workloads inside one runtime.

mod ask;
mod bang;
mod big;
mod budget;
mod chameneos;
mod count;
mod fairness;
mod fib;
mod fork_join;
mod idle;
mod memory;
mod ping_pong;
mod ring;
mod send_many;
mod skynet;
mod spawn;
mod straggler;
mod swap;
mod table;
mod timers;
mod urgent;
mod wake;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use myrmidon::Runtime;

#[cfg(feature = "peers")]
pub(crate) use self::{
    big::Numbers, chameneos::Colour, fib::tree as fib_tree, skynet::of_whole_tree,
    timers::delay as timer_delay, wake::sample, wake::waited,
};
use crate::measure::{Figures, Workload};
use crate::rounds::Peer;
pub(crate) use table::WORKLOADS;

/// Our runtime.
pub(crate) struct Ours;

impl Peer for Ours {
    fn name(&self) -> &'static str {
        "myrmidon"
    }

    fn version(&self) -> String {
        format!("Myrmidon {}", env!("CARGO_PKG_VERSION"))
    }

    fn divisor(&self, _: &str) -> Option<u64> {
        Some(1)
    }

    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        workload.run.run(amount)
    }
}

pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A runtime for one run.
fn runtime() -> Result<Runtime, String> {
    Runtime::new().map_err(|error| error.to_string())
}

/// How the actors tell the bench that they are done, with the count that they saw.
pub(crate) struct Finish {
    pub(crate) tell: SyncSender<u64>,
    told: Receiver<u64>,
}

impl Finish {
    pub(crate) fn new(actors: usize) -> Self {
        let (tell, told) = sync_channel(actors);
        Self { tell, told }
    }

    /// Waits for one count.
    fn next(&self) -> Result<u64, String> {
        self.told.recv_timeout(LIMIT).map_err(|_| format!("not done within {LIMIT:?}"))
    }

    /// Waits for `actors` counts and compares their sum with what was sent.
    pub(crate) fn expect(&self, actors: usize, total: u64) -> Result<(), String> {
        let mut sum = 0;
        for _ in 0..actors {
            sum += self.next()?;
        }
        (sum == total).then_some(()).ok_or_else(|| format!("{sum} messages handled of {total}"))
    }
}

/// Waits for a condition; whether it came true in time.
pub(crate) fn wait_until(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    true
}

/// Resident bytes of this process.
pub(crate) fn resident() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "no Rss line".to_owned())?;
    Ok(kib * 1024)
}

/// Half of the waits are at most so long, and 99 of 100, in microseconds.
pub(crate) fn percentiles(mut waits: Vec<Duration>) -> Figures {
    waits.sort_unstable();
    let at = |percent: usize| waits.get((waits.len() * percent / 100).min(waits.len().saturating_sub(1)));
    let of = |percent| at(percent).map(|wait| wait.as_secs_f64() * 1e6).ok_or("no message was handled");
    Ok(vec![of(50)?, of(99)?])
}

/// Millions a second.
pub(crate) fn rate(work: u64, since: Instant) -> f64 {
    work as f64 / since.elapsed().as_secs_f64() / 1e6
}

/// Nanoseconds for one.
pub(crate) fn each(work: u64, since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e9 / work as f64
}

#[cfg(test)]
mod tests {
    use super::{Ours, WORKLOADS};
    use crate::rounds::Peer;

    #[test]
    fn every_workload_completes_and_counts_right() {
        for workload in &WORKLOADS {
            let figures = Ours.run(workload, (workload.work / 1000).max(10));
            let right = figures.as_ref().is_ok_and(|figures| {
                figures.len() == workload.metrics.len() && figures.iter().all(|figure| *figure >= 0.0)
            });
            assert!(right, "{}: {figures:?}", workload.name);
        }
    }
}
