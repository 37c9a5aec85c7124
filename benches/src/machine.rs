//! Where a run took place: what a reader needs to judge its figures, and nothing that names the machine.

use std::fmt;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The facts of a machine and a run.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The day, UTC, as year-month-day.
    date: String,
    cpu: String,
    cores: usize,
    kernel: String,
    rustc: String,
    /// The names and versions of the peers that took part.
    peers: Vec<String>,
    rounds: usize,
}

impl Machine {
    /// This machine, today.
    pub(crate) fn here(peers: Vec<String>, rounds: usize) -> Self {
        Self {
            date: time::OffsetDateTime::now_utc().date().to_string(),
            cpu: cpu().unwrap_or_else(|| "unknown processor".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
            rustc: rustc().unwrap_or_else(|| "Rust of an unknown version".to_owned()),
            peers,
            rounds,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { date, cpu, cores, kernel, rustc, peers, rounds } = self;
        write!(f, "{date}; {cores} cores of {cpu}; Linux {kernel}; {rustc}")?;
        peers.iter().try_for_each(|peer| write!(f, "; {peer}"))?;
        let s = if *rounds == 1 { "" } else { "s" };
        write!(f, "; {rounds} round{s}")
    }
}

fn cpu() -> Option<String> {
    let text = read("/proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'))?.1;
    // The second half of a marketing name is about graphics.
    let model = model.split(" with ").next().unwrap_or(model);
    let virtual_machine = text.contains(" hypervisor ");
    Some(format!("{}{}", model.trim(), if virtual_machine { " (a virtual machine)" } else { "" }))
}

fn rustc() -> Option<String> {
    let output = Command::new("rustc").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().nth(1)?;
    Some(format!("Rust {version}"))
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Machine;

    #[test]
    fn the_facts_do_not_name_the_machine() {
        let text = Machine::here(vec!["Erlang/OTP 25".to_owned()], 5).to_string();
        let host = super::read("/proc/sys/kernel/hostname").unwrap_or_default();
        assert!(host.is_empty() || !text.contains(&host), "{text}");
        assert!(
            !text.contains('\n') && text.contains("Linux ") && text.contains("OTP 25; 5 rounds"),
            "{text}"
        );
    }
}
