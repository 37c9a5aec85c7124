//! Python processes: ours, and those that use pyzmq, which this program installs for itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::pair;
use crate::environment::{Package, evaluate};
use crate::measure::{Figures, Workload};
use crate::rounds::Peer;

const OURS: &str = include_str!("../../peers/net_myrmidon.py");
const ZMQ: &str = include_str!("../../peers/net_pyzmq.py");
const COMMON: &str = include_str!("../../peers/net_common.py");
const PYZMQ: Package = Package { name: "pyzmq", version: "27.1.0", module: "zmq" };

/// A Python, and the program that it runs on both sides.
pub(super) struct Python {
    name: &'static str,
    version: String,
    interpreter: PathBuf,
    folder: TempDir,
}

impl Python {
    /// The Python package of this project.
    ///
    /// # Errors
    /// If it is not installed for that interpreter.
    pub(super) fn myrmidon(interpreter: &Path) -> Result<Self, String> {
        let interpreter = std::path::absolute(interpreter).map_err(|error| error.to_string())?;
        let version = evaluate(&interpreter, "myrmidon", "myrmidon.__version__");
        let version = version.map_err(|error| format!("{error}; run scripts/setup.sh, or say --python"))?;
        Self::new("myrmidon", version, interpreter, OURS)
    }

    /// pyzmq, in an environment of its own beside this program.
    ///
    /// # Errors
    /// If it cannot be installed, or must not be.
    pub(super) fn pyzmq(base: &Path, install: bool) -> Result<Self, String> {
        let interpreter = PYZMQ.interpreter(base, install)?;
        let version = evaluate(&interpreter, "zmq", "zmq.__version__")?;
        Self::new("pyzmq", format!("pyzmq {version}"), interpreter, ZMQ)
    }

    fn new(name: &'static str, version: String, interpreter: PathBuf, program: &str) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        for (file, text) in [("peer.py", program), ("net_common.py", COMMON)] {
            std::fs::write(folder.path().join(file), text).map_err(|error| error.to_string())?;
        }
        Ok(Self { name, version, interpreter, folder })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.interpreter);
        command.arg("peer.py").current_dir(self.folder.path());
        command
    }
}

impl Peer for Python {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn divisor(&self, work: &str) -> Option<u64> {
        matches!(work, "python-tcp-small" | "python-tcp-trip").then_some(1)
    }

    /// `python-tcp-trip` is `tcp trip` to both sides.
    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        let words: Vec<_> = workload.name.split('-').skip(1).collect();
        let mut serve = self.command();
        serve.arg("serve").args(&words);
        let drive = |addr: &str, _| {
            let mut drive = self.command();
            drive.arg("drive").args(&words).args([&amount.to_string(), addr]);
            drive
        };
        pair::measure(serve, drive)
    }

    fn is_outside(&self) -> bool {
        true
    }
}
