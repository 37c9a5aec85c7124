//! Measures the workloads of the local runtime: one command, a table, or JSON with one object a line.
//!
//! Every workload checks that each of its messages was handled. A wrong count is printed as a failure,
//! has no figure, and makes the command fail.
#![forbid(unsafe_code)]

mod local;
mod measure;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::local::WORKLOADS;
use crate::measure::{Outcome, Report};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures the local runtime on this machine.
#[derive(Parser)]
struct Options {
    /// Print JSON, one object a line, instead of a table.
    #[arg(long)]
    json: bool,
    /// How often each workload runs; the median, the least and the most are reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// A fiftieth of the work: to see that it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Only the workloads whose name contains this.
    #[arg(default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let divisor = if options.quick { 50 } else { 1 };
    let chosen: Vec<_> = WORKLOADS.iter().filter(|workload| workload.name.contains(&options.only)).collect();
    let mut outcomes: Vec<_> = chosen.iter().map(|workload| Outcome::new(workload)).collect();
    // Round by round, so that a slow moment of the machine touches every workload alike.
    for _ in 0..options.rounds.max(1) {
        for (workload, outcome) in chosen.iter().zip(&mut outcomes) {
            outcome.add((workload.run)(workload.work / divisor));
        }
    }
    let report = Report(outcomes);
    print!("{}", if options.json { report.json() } else { report.table() });
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
