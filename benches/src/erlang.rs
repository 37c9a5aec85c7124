//! The Erlang peer: the same workloads in `peers/myrmidon_peer.erl`, each in an emulator of its own.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// The workloads that the peer knows.
pub(crate) const WORKLOADS: [&str; 8] =
    ["spawn", "memory", "count", "ping-pong", "ring", "fork-join", "skynet", "bang"];

const SOURCE: &str = include_str!("../peers/myrmidon_peer.erl");

/// The compiled peer.
pub(crate) struct Erlang {
    folder: TempDir,
}

impl Erlang {
    /// Compiles the peer.
    ///
    /// # Errors
    /// If there is no Erlang compiler, or it fails.
    pub(crate) fn build() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        std::fs::write(folder.path().join("myrmidon_peer.erl"), SOURCE).map_err(|error| error.to_string())?;
        output(Command::new("erlc").arg("myrmidon_peer.erl").current_dir(folder.path()))?;
        Ok(Self { folder })
    }

    /// Runs one workload and returns its figure, which the peer gives only if its counts are right.
    ///
    /// # Errors
    /// What the emulator said.
    pub(crate) fn run(&self, name: &str, work: u64) -> Result<f64, String> {
        let folder: &Path = self.folder.path();
        let mut erl = Command::new("erl");
        erl.args(["+P", "4000000", "-noshell", "-run", "myrmidon_peer", "main", name, &work.to_string()]);
        let text = output(erl.current_dir(folder))?;
        text.trim().parse().map_err(|_| format!("the peer said {text:?}"))
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() { Ok(text) } else { Err(text) }
}
