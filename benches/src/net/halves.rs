//! One of the two processes of a workload, as a command of this program.

use std::process::Command;

use clap::{Subcommand, ValueEnum};

use super::{ours, raw};
use crate::measure::Figures;

/// What this program can be one side of.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Who {
    Myrmidon,
    Raw,
}

/// How the two sides are connected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    /// TCP with certificates on both sides, as QUIC has.
    Tls,
    Quic,
}

/// One side.
#[derive(Subcommand)]
pub(crate) enum Half {
    /// Prints an address and waits to be ended.
    Serve { who: Who, work: String },
    /// Does the work with the process `server` at that address, and prints the figures.
    Drive { who: Who, work: String, amount: u64, addr: String, server: u32 },
}

/// The other side, as the driving one knows it.
pub(super) struct Server<'a> {
    pub(super) addr: &'a str,
    /// Its process.
    pub(super) id: u32,
}

impl Half {
    /// # Errors
    /// What went wrong; then there are no figures.
    pub(crate) fn run(self) -> Result<(), String> {
        match self {
            Self::Serve { who, work } => {
                let (kind, work) = split(&work)?;
                match who {
                    Who::Myrmidon => ours::serve(kind, work),
                    Who::Raw => raw::serve(kind, work),
                }
            }
            Self::Drive { who, work, amount, addr, server } => {
                let (kind, work) = split(&work)?;
                let server = Server { addr: &addr, id: server };
                let figures: Figures = match who {
                    Who::Myrmidon => ours::drive(kind, work, amount, &server),
                    Who::Raw => raw::drive(kind, work, amount, &server),
                };
                figures?.iter().for_each(|figure| println!("{figure}"));
                Ok(())
            }
        }
    }
}

/// The two commands of this program for a workload.
///
/// # Errors
/// If the running program cannot be found.
pub(super) fn commands(
    who: Who,
    work: &'static str,
    amount: u64,
) -> Result<(Command, impl Fn(&str, u32) -> Command), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let who = match who {
        Who::Myrmidon => "myrmidon",
        Who::Raw => "raw",
    };
    let mut serve = Command::new(&program);
    serve.args(["half", "serve", who, work]);
    let drive = move |addr: &str, server: u32| {
        let mut drive = Command::new(&program);
        drive.args(["half", "drive", who, work, &amount.to_string(), addr, &server.to_string()]);
        drive
    };
    Ok((serve, drive))
}

/// `tcp-trip` is the work `trip` over TCP.
fn split(work: &str) -> Result<(Kind, &str), String> {
    let unknown = || format!("there is no workload {work} between processes");
    let (kind, rest) = work.split_once('-').ok_or_else(unknown)?;
    let kind = match kind {
        "tcp" => Kind::Tcp,
        "tls" => Kind::Tls,
        "quic" => Kind::Quic,
        _ => return Err(unknown()),
    };
    Ok((kind, rest))
}
