//! Measures the workloads of the local runtime: one command, a table, or JSON with one object a line.
//!
//! Every workload checks that each of its messages was handled. A wrong count is printed as a failure,
//! has no figure, and makes the command fail.
#![forbid(unsafe_code)]

mod erlang;
mod local;
mod measure;

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

use crate::erlang::Erlang;
use crate::local::WORKLOADS;
use crate::measure::{Outcome, Report, Workload};

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
    /// Run the Erlang peer beside ours, round by round; needs `erl` and `erlc`.
    #[arg(long)]
    peers: bool,
    /// Print the resident bytes of one of so many idle actors, and nothing else.
    #[arg(long, hide = true)]
    idle_memory: Option<u64>,
    /// Only the workloads whose name contains this.
    #[arg(default_value = "")]
    only: String,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(actors) = options.idle_memory {
        return print_idle_memory(actors);
    }
    let divisor = if options.quick { 50 } else { 1 };
    let chosen: Vec<_> = WORKLOADS.iter().filter(|workload| workload.name.contains(&options.only)).collect();
    let mut outcomes: Vec<_> = chosen.iter().map(|workload| Outcome::new(workload, "myrmidon")).collect();
    let erlang = if options.peers { Some(Erlang::build()) } else { None };
    let erlang = match erlang.transpose() {
        Ok(erlang) => erlang,
        Err(error) => {
            eprintln!("cannot run the Erlang peer: {error}");
            return ExitCode::FAILURE;
        }
    };
    let known = |workload: &&&Workload| erlang.is_some() && erlang::WORKLOADS.contains(&workload.name);
    let beside: Vec<_> = chosen.iter().filter(known).collect();
    let mut peers: Vec<_> = beside.iter().map(|workload| Outcome::new(workload, "erlang")).collect();
    // Round by round, so that a slow moment of the machine touches every workload alike.
    for _ in 0..options.rounds.max(1) {
        for (workload, outcome) in chosen.iter().zip(&mut outcomes) {
            outcome.add((workload.run)(workload.work / divisor));
        }
        for (workload, outcome) in beside.iter().zip(&mut peers) {
            let figure = erlang.as_ref().map(|erlang| erlang.run(workload.name, workload.work / divisor));
            outcome.add(figure.unwrap_or_else(|| Err("not built".to_owned())));
        }
    }
    outcomes.append(&mut peers);
    let report = Report(outcomes);
    print!("{}", if options.json { report.json() } else { report.table() });
    if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print_idle_memory(actors: u64) -> ExitCode {
    match local::memory::measure(actors) {
        Ok(bytes) => {
            println!("{bytes}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
