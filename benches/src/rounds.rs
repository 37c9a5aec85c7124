//! Runs workloads round by round, each on every runtime in turn.

use std::process::Command;

use crate::RunOptions;
use crate::local::{Ours, WORKLOADS};
use crate::machine::Machine;
use crate::measure::{Figures, Workload};
use crate::peers;
use crate::record::{Results, Samples};

/// A fiftieth of the work shows that it runs.
const QUICK: u64 = 50;

/// A runtime that workloads run on: ours, or a peer.
pub(crate) trait Peer {
    fn name(&self) -> &'static str;

    /// As its makers write it, with its version.
    fn version(&self) -> String;

    /// By how much the work is divided, so that a slow runtime does not take all the time: figures are
    /// for one message or one actor, and stay comparable. `None` where it has no such workload.
    fn divisor(&self, work: &str) -> Option<u64>;

    /// Does the work in this process, or in one of its own where that is how the runtime is run.
    fn run(&self, workload: &Workload, amount: u64) -> Figures;

    /// Whether it runs outside this process anyway.
    fn is_outside(&self) -> bool {
        false
    }
}

/// Runs the chosen workloads. Round by round, and within a round each workload on all runtimes in turn,
/// so that a slow moment of the machine touches all of them alike.
pub(crate) fn run(
    options: &RunOptions,
    workloads: &'static [Workload],
    runtimes: &[Box<dyn Peer>],
) -> Results {
    let mut samples: Vec<_> = chosen(workloads, &options.only)
        .flat_map(|workload| runtimes.iter().map(move |runtime| (workload, runtime)))
        .filter_map(|(workload, runtime)| Some((workload, runtime, runtime.divisor(workload.name)?)))
        .map(|(workload, runtime, divisor)| {
            let amount = options.amount.unwrap_or(workload.work / divisor);
            let amount = if options.quick { amount / QUICK } else { amount };
            (workload, runtime, amount.max(1), Samples::new(workload, runtime.name()))
        })
        .collect();
    let rounds = options.rounds.max(1);
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for (workload, runtime, amount, samples) in &mut samples {
            samples.add(run_one(runtime.as_ref(), workload, *amount));
        }
    }
    let records = samples.iter().flat_map(|(.., samples)| samples.records()).collect();
    let mut versions: Vec<_> = runtimes.iter().skip(1).map(|runtime| runtime.version()).collect();
    versions.dedup();
    Results { machine: Machine::here(versions, rounds), records }
}

/// Ours, and the peers that can be had, where those are wanted.
pub(crate) fn local(with_peers: bool) -> Vec<Box<dyn Peer>> {
    let mut runtimes: Vec<Box<dyn Peer>> = vec![Box::new(Ours)];
    if with_peers {
        runtimes.extend(peers::available());
    }
    runtimes
}

fn chosen(workloads: &'static [Workload], only: &[String]) -> impl Iterator<Item = &'static Workload> {
    workloads.iter().filter(move |workload| {
        only.is_empty() || only.iter().any(|part| workload.name.contains(part.as_str()))
    })
}

fn run_one(runtime: &dyn Peer, workload: &Workload, amount: u64) -> Figures {
    if !workload.alone || runtime.is_outside() {
        return runtime.run(workload, amount);
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(program)
        .args(["child", runtime.name(), workload.name, &amount.to_string()])
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&child.stdout);
    let figures: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    match figures {
        Ok(figures) if child.status.success() => Ok(figures),
        _ => Err(format!("{text}{}", String::from_utf8_lossy(&child.stderr)).trim().to_owned()),
    }
}

/// What such a child process does: prints its figures.
///
/// # Errors
/// If the run failed, or there is no such runtime or workload.
pub(crate) fn child(peer: &str, work: &str, amount: u64) -> Result<(), String> {
    let workload = WORKLOADS.iter().find(|workload| workload.name == work);
    let workload = workload.ok_or_else(|| format!("there is no workload {work}"))?;
    let figures = if peer == Ours.name() {
        Ours.run(workload, amount)
    } else {
        let inside = peers::inside().into_iter().find(|runtime| runtime.name() == peer);
        inside.ok_or_else(|| format!("there is no runtime {peer} in this program"))?.run(workload, amount)
    };
    figures?.iter().for_each(|figure| println!("{figure}"));
    Ok(())
}
