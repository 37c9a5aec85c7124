//! The `myrmidon` command as a function, so that the Python wheel can offer it too.
#![forbid(unsafe_code)]

mod certs;
mod node;
mod ping;
mod report;
mod transport;
mod ttl;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Parser, Subcommand};
use myrmidon::node::ListenError;
use myrmidon::runtime::StartError;
use myrmidon_certs::CertsError;

/// Runs the command line `args`, whose first item is the name of the program, and returns the exit
/// code: 0 for success, 1 for a failure, 2 for a command line that is not understood.
pub fn main_from<I>(args: I) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` is an "error" of code 0; if the text cannot be printed there is nobody to tell.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    match cli.command.run(&mut io::stdout().lock()) {
        Ok(()) => 0,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(failure) => {
            eprintln!("error: {failure}");
            1
        }
    }
}

/// Distributed actors: the certificates of a cluster, and a look at its nodes.
#[derive(Parser)]
#[command(name = "myrmidon", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make and show the certificates that a QUIC cluster needs
    #[command(subcommand)]
    Certs(certs::Certs),
    /// Run a node that answers pings, until it is interrupted
    Node(node::Node),
    /// Ask a node for signs of life
    Ping(ping::Ping),
}

impl Command {
    fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Certs(certs) => certs.run(out),
            Self::Node(node) => node.run(out),
            Self::Ping(ping) => ping.run(out),
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Certs(#[from] CertsError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("{0}")]
    Failed(String),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}
