//! The programs that run the workloads, each with the interpreter that has its library.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::environment::{Package, evaluate};
use crate::measure::{Figures, Workload};
use crate::peers::output;
use crate::rounds::Peer;

/// A runtime of Python beside ours.
pub(super) struct PythonPeer {
    pub(super) name: &'static str,
    /// What it needs beside the interpreter.
    package: Option<Package>,
    /// By how much the work is divided, where it is.
    divisors: &'static [(&'static str, u64)],
}

const fn package(name: &'static str, version: &'static str, module: &'static str) -> Option<Package> {
    Some(Package { name, version, module })
}

pub(super) const PEERS: &[PythonPeer] = &[
    PythonPeer {
        name: "asyncio",
        package: None,
        divisors: &[
            ("py-count", 3),
            ("py-send", 2),
            ("py-fan", 3),
            ("py-spawn", 10),
            ("py-memory", 10),
            ("py-ping-pong", 5),
            ("py-ask-1", 2),
            ("py-ask-100", 2),
            ("py-ask-loop", 2),
            ("py-ask-loop-100", 2),
        ],
    },
    PythonPeer {
        name: "pykka",
        package: package("pykka", "4.5.0", "pykka"),
        divisors: &[
            ("py-count", 10),
            ("py-send", 5),
            ("py-fan", 300),
            ("py-spawn", 500),
            ("py-memory", 500),
            ("py-ping-pong", 20),
            ("py-ask-1", 5),
            ("py-ask-100", 5),
        ],
    },
    PythonPeer {
        name: "xoscar",
        package: package("xoscar", "0.12.2", "xoscar"),
        divisors: &[
            ("py-count", 100),
            ("py-fan", 20),
            ("py-spawn", 50),
            ("py-memory", 50),
            ("py-ping-pong", 50),
            ("py-ask-1", 20),
            ("py-ask-100", 20),
        ],
    },
    PythonPeer {
        name: "thespian",
        package: package("thespian", "4.0.1", "thespian"),
        divisors: &[("py-count", 1500), ("py-spawn", 100_000), ("py-ping-pong", 1000), ("py-ask-1", 200)],
    },
    PythonPeer {
        name: "ray",
        package: package("ray", "2.60.0", "ray"),
        divisors: &[
            ("py-count", 600),
            ("py-spawn", 100_000),
            ("py-ping-pong", 1000),
            ("py-ask-1", 200),
            ("py-ask-100", 200),
        ],
    },
];

/// A runtime that can be had here.
pub(super) struct Program {
    name: &'static str,
    version: String,
    interpreter: PathBuf,
    /// By how much the work of each is divided.
    divisors: Vec<(String, u64)>,
}

impl Program {
    /// The Python package of this project.
    ///
    /// # Errors
    /// If it is not installed for that interpreter.
    pub(super) fn ours(interpreter: &Path) -> Result<Self, String> {
        evaluate(interpreter, "myrmidon", "None")
            .map_err(|error| format!("{error}; run scripts/setup.sh, or say --python"))?;
        Self::new("myrmidon", interpreter, &[])
    }

    /// # Errors
    /// If its library cannot be had.
    pub(super) fn peer(peer: &'static PythonPeer, base: &Path, install: bool) -> Result<Self, String> {
        let interpreter = match peer.package {
            Some(package) => package.interpreter(base, install)?,
            None => base.to_owned(),
        };
        Self::new(peer.name, &interpreter, peer.divisors)
    }

    fn new(name: &'static str, interpreter: &Path, divisors: &[(&str, u64)]) -> Result<Self, String> {
        let interpreter = std::path::absolute(interpreter).map_err(|error| error.to_string())?;
        let mut program = Self { name, version: String::new(), interpreter, divisors: Vec::new() };
        let text = output(&mut program.command())?;
        let (version, workloads) = text.split_once('\n').ok_or("the program does not say what it can")?;
        program.version = version.to_owned();
        let divisor = |work: &str| divisors.iter().find(|(name, _)| *name == work).map_or(1, |row| row.1);
        program.divisors =
            workloads.split_whitespace().map(|work| (work.to_owned(), divisor(work))).collect();
        Ok(program)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/python")).arg(self.name);
        command
    }
}

impl Peer for Program {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn divisor(&self, work: &str) -> Option<u64> {
        self.divisors.iter().find(|(name, _)| name == work).map(|(_, divisor)| *divisor)
    }

    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        let text = output(self.command().args([workload.name, &amount.to_string()]))?;
        let figures: Result<_, _> = text.split_whitespace().map(str::parse).collect();
        figures.map_err(|_| format!("the program said {text:?}"))
    }

    fn is_outside(&self) -> bool {
        true
    }
}
