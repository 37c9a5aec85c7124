//! The Erlang peer: the same workloads in `peers/myrmidon_peer.erl`, each in an emulator of its own.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::measure::{Figures, Workload};
use crate::rounds::Peer;

/// The workloads that the peer knows, and by how much their work is divided.
const WORKLOADS: &[(&str, u64)] = &[
    ("count", 4),
    ("fork-join", 1),
    ("bang", 2),
    ("big", 4),
    ("ping-pong", 4),
    ("ring", 5),
    ("ask", 2),
    ("chameneos", 2),
    ("spawn", 4),
    ("create", 2),
    ("fib", 1),
    ("skynet", 1),
    ("memory", 5),
    ("straggler", 1),
    ("timers", 1),
    ("wake-10us", 1),
    ("wake-100us", 1),
    ("wake-1ms", 1),
    ("wake-10ms", 1),
    ("fairness", 1),
    ("idle", 1),
];

const SOURCE: &str = include_str!("../../peers/myrmidon_peer.erl");

/// The compiled peer.
pub(super) struct Erlang {
    folder: TempDir,
    release: String,
}

impl Erlang {
    /// Compiles the peer.
    ///
    /// # Errors
    /// If there is no Erlang compiler, or it fails.
    pub(super) fn build() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        std::fs::write(folder.path().join("myrmidon_peer.erl"), SOURCE).map_err(|error| error.to_string())?;
        output(Command::new("erlc").arg("myrmidon_peer.erl").current_dir(folder.path()))?;
        Ok(Self { folder, release: release()? })
    }

    /// Runs workloads one after the other in one emulator. The peer gives figures only if its counts are
    /// right.
    fn run_all(&self, work: &[(&str, u64)]) -> Result<Vec<Vec<f64>>, String> {
        let folder: &Path = self.folder.path();
        let mut erl = Command::new("erl");
        erl.args(["+P", "4000000", "-noshell", "-run", "myrmidon_peer", "main"]).current_dir(folder);
        for (name, amount) in work {
            erl.args([*name, &amount.to_string()]);
        }
        let text = output(&mut erl)?;
        let line = |line: &str| line.split_whitespace().map(str::parse).collect::<Result<_, _>>();
        text.lines().map(line).collect::<Result<_, _>>().map_err(|_| format!("the peer said {text:?}"))
    }
}

impl Peer for Erlang {
    fn name(&self) -> &'static str {
        "erlang"
    }

    fn version(&self) -> String {
        format!("Erlang/OTP {}", self.release)
    }

    fn divisor(&self, work: &str) -> Option<u64> {
        WORKLOADS.iter().find(|(name, _)| *name == work).map(|(_, divisor)| *divisor)
    }

    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        let lines = self.run_all(&[(workload.name, amount)])?;
        lines.into_iter().next().ok_or_else(|| "the peer said nothing".to_owned())
    }

    fn is_outside(&self) -> bool {
        true
    }
}

/// The release of the Erlang that is installed.
///
/// # Errors
/// If there is none.
pub(crate) fn release() -> Result<String, String> {
    output(Command::new("erl").args([
        "-noshell",
        "-eval",
        "io:put_chars(erlang:system_info(otp_release)), halt().",
    ]))
}

/// What a command prints.
///
/// # Errors
/// If it cannot be started, or fails.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        Ok(text)
    } else {
        Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

#[cfg(test)]
mod tests {
    use super::Erlang;
    use crate::local::WORKLOADS;
    use crate::measure::Workload;
    use crate::rounds::Peer;

    #[test]
    fn every_workload_completes_and_counts_right() {
        let Ok(erlang) = Erlang::build() else {
            eprintln!("no Erlang here: nothing tested");
            return;
        };
        let known: Vec<_> =
            WORKLOADS.iter().filter(|workload| erlang.divisor(workload.name).is_some()).collect();
        let amount = |workload: &Workload| (workload.work / 1000).max(10);
        // In one emulator, as starting one takes longer than any of these.
        let work: Vec<_> = known.iter().map(|workload| (workload.name, amount(workload))).collect();
        let lines = erlang.run_all(&work).expect("right counts");
        assert_eq!(lines.len(), known.len());
        for (workload, figures) in known.iter().zip(lines) {
            assert_eq!(figures.len(), workload.metrics.len(), "{}: {figures:?}", workload.name);
        }
    }
}
