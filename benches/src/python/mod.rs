//! Workloads of Python handlers in one process, ours beside asyncio and the actor libraries of Python.
//!
//! The programs are in `peers/python`, one for each runtime; each run is a process of its own. Ours uses the
//! package as `pip install` builds it.

mod program;
mod table;

use self::program::Program;
pub(crate) use self::table::WORKLOADS;
use crate::RunOptions;
use crate::environment::of_this_project;
use crate::net::PythonOptions;
use crate::record::Results;
use crate::rounds::{self, Peer};

/// Runs the chosen workloads, ours and those of every peer that can be had here.
///
/// # Errors
/// If our package cannot be built for that interpreter.
pub(crate) fn run(options: &RunOptions, python: &PythonOptions) -> Result<Results, String> {
    let mut runtimes: Vec<Box<dyn Peer>> = vec![Box::new(Program::ours(&of_this_project(&python.python)?)?)];
    for peer in program::PEERS {
        match Program::peer(peer, &python.python, true) {
            Ok(program) => runtimes.push(Box::new(program)),
            Err(error) => eprintln!("without {}: {error}", peer.name),
        }
    }
    Ok(rounds::run(options, &WORKLOADS, &runtimes))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::WORKLOADS;
    use super::program::{PEERS, Program};
    use crate::rounds::Peer;

    /// Each workload on our package and on what else can be had without installing.
    #[test]
    fn every_workload_completes_and_counts_right() {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
        let Ok(ours) = Program::ours(&python) else {
            eprintln!("the Python package is not installed here: nothing tested");
            return;
        };
        let peers = PEERS.iter().filter_map(|peer| Program::peer(peer, &python, false).ok());
        for program in std::iter::once(ours).chain(peers) {
            for workload in &WORKLOADS {
                let Some(divisor) = program.divisor(workload.name) else { continue };
                let figures = program.run(workload, (workload.work / divisor / 100).max(2));
                let right = figures.as_ref().is_ok_and(|figures| {
                    figures.len() == workload.metrics.len() && figures.iter().all(|figure| figure.is_finite())
                });
                assert!(right, "{} of {}: {figures:?}", workload.name, program.name());
            }
        }
    }
}
