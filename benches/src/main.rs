//! Measures the workloads of the local runtime and of the mesh, alone or beside their peers: a table, JSON
//! with one object a line, or the tables and pictures of the documentation.
//!
//! Every workload checks that each of its messages was handled. A wrong count is printed as a failure,
//! has no figure, and makes the command fail.
#![forbid(unsafe_code)]

mod environment;
mod local;
mod machine;
mod measure;
mod net;
mod peers;
mod python;
mod record;
mod report;
mod rounds;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;

use crate::measure::Page;
use crate::record::Results;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures the runtime and its mesh on this machine.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Our workloads alone.
    Local(PrintOptions),
    /// Ours beside every peer that can be had, in turns: Erlang where `erl` and `erlc` are installed,
    /// the Rust peers in a build with `--features peers`.
    Peers(PrintOptions),
    /// Between processes: Rust and Python nodes over each transport, beside bare sockets, Erlang's
    /// distribution and pyzmq, where those can be had.
    Net(PythonRunOptions),
    /// Python handlers in one process, ours beside asyncio and the actor libraries of Python that can be
    /// installed.
    Python(PythonRunOptions),
    /// The tables and pictures of the documentation, from a run or from a file.
    Report(ReportOptions),
    /// One run of one workload, for measurements that need a process of their own.
    #[command(hide = true)]
    Child { peer: String, work: String, amount: u64 },
    /// One of the two processes of a workload of `net`.
    #[command(hide = true, subcommand)]
    Half(net::Half),
}

#[derive(Args)]
struct PythonRunOptions {
    /// Print JSON, one object a line, instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    python: net::PythonOptions,
    #[command(flatten)]
    run: RunOptions,
}

#[derive(Args)]
struct PrintOptions {
    /// Print JSON, one object a line, instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run: RunOptions,
}

/// What to run, and how.
#[derive(Args)]
pub(crate) struct RunOptions {
    /// How often each workload runs; the median, the least and the most are reported.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// A fiftieth of the work: to see that it runs, not how fast.
    #[arg(long)]
    pub(crate) quick: bool,
    /// So many messages, actors or samples a run, instead of the usual number of each workload.
    #[arg(long)]
    pub(crate) amount: Option<u64>,
    /// Only the workloads whose name contains one of these.
    #[arg(value_name = "WORK")]
    pub(crate) only: Vec<String>,
}

#[derive(Args)]
struct ReportOptions {
    /// Which page: `peers`, `net` and `python` fill one each.
    #[arg(long, value_enum, default_value_t = Page::Performance)]
    page: Page,
    /// Read what that command printed with `--json`, instead of running it.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Write what `wan_bench` printed about lost packets into the page about the mesh, and nothing else.
    #[arg(long, conflicts_with_all = ["from", "page"])]
    loss: Option<PathBuf>,
    /// The folder with the pages.
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
    #[command(flatten)]
    python: net::PythonOptions,
    #[command(flatten)]
    run: RunOptions,
}

fn main() -> ExitCode {
    let done = match Options::parse().command {
        What::Local(options) => print(&local(&options.run, false), options.json),
        What::Peers(options) => print(&local(&options.run, true), options.json),
        What::Net(options) => print(&net::run(&options.run, &options.python), options.json),
        What::Python(options) => {
            python::run(&options.run, &options.python).and_then(|results| print(&results, options.json))
        }
        What::Report(options) => write_report(&options),
        What::Child { peer, work, amount } => rounds::child(&peer, &work, amount),
        What::Half(half) => half.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn local(options: &RunOptions, with_peers: bool) -> Results {
    rounds::run(options, &local::WORKLOADS, &rounds::local(with_peers))
}

fn print(results: &Results, json: bool) -> Result<(), String> {
    let text = if json { results.json().map_err(|error| error.to_string())? } else { results.table() };
    print!("{text}");
    all_right(results)
}

fn all_right(results: &Results) -> Result<(), String> {
    let failures = results.failures();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn write_report(options: &ReportOptions) -> Result<(), String> {
    if let Some(file) = &options.loss {
        return read(file, |json| report::loss::write(json, &options.docs));
    }
    let results = match &options.from {
        Some(file) => read(file, Results::read)?,
        None => match options.page {
            Page::Performance => local(&options.run, true),
            Page::Mesh => net::run(&options.run, &options.python),
            Page::Python => python::run(&options.run, &options.python)?,
        },
    };
    report::write(&results, &options.docs, options.page)?;
    all_right(&results)
}

/// What `f` makes of the text of a file; an error names the file.
fn read<T>(file: &Path, f: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    text.and_then(|text| f(&text)).map_err(|error| format!("{}: {error}", file.display()))
}
