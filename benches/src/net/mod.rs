//! Workloads between two processes: ours over each transport, in Rust and in Python, and what does the
//! same with bare sockets, Erlang's distribution and pyzmq.
//!
//! A peer is two programs. The one that serves prints its address, and waits until it is ended; the one
//! that drives is given that address, does the work and prints its figures. It prints none unless the
//! serving side has counted every message and comes to the same checksum.

mod erlang;
mod halves;
mod message;
mod ours;
mod pair;
mod python;
mod raw;
mod table;

use clap::Args;

pub(crate) use self::halves::Half;
use self::ours::Ours;
use self::python::Python;
pub(crate) use self::table::WORKLOADS;
use crate::RunOptions;
use crate::record::Results;
use crate::rounds::{self, Peer};

/// Where the Python sides come from.
#[derive(Args)]
pub(crate) struct PythonOptions {
    /// A Python with myrmidon installed, for the workloads of Python.
    #[arg(long, value_name = "PATH", default_value = ".venv/bin/python")]
    pub(crate) python: std::path::PathBuf,
    /// Install nothing: without pyzmq, unless an earlier run has installed it.
    #[arg(long)]
    no_install: bool,
}

/// Runs the chosen workloads, ours and those of every peer that can be had here.
pub(crate) fn run(options: &RunOptions, python: &PythonOptions) -> Results {
    rounds::run(options, &WORKLOADS, &available(python))
}

/// Says on standard error what cannot be had, and why.
fn available(options: &PythonOptions) -> Vec<Box<dyn Peer>> {
    let python = said("the workloads of Python", Python::myrmidon(&options.python));
    let zmq =
        python.as_ref().and_then(|_| said("pyzmq", Python::pyzmq(&options.python, !options.no_install)));
    let mut peers: Vec<Box<dyn Peer>> = vec![Box::new(Ours::new(python)), Box::new(raw::Raw)];
    if let Some(erlang) = said("Erlang", erlang::Erlang::build()) {
        peers.push(Box::new(erlang));
    }
    if let Some(zmq) = zmq {
        peers.push(Box::new(zmq));
    }
    peers
}

fn said<T>(what: &str, made: Result<T, String>) -> Option<T> {
    made.map_err(|error| eprintln!("without {what}: {error}")).ok()
}
