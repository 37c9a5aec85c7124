//! What is held for those who do not read: first for a process that stands still, by its sender; then
//! for an actor that does, by the process that it is in.

use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::node::RemoteSendError;

use super::super::message::{Tally, message};
use super::drive::Far;
use super::text;
use crate::measure::Figures;

const SIZE: usize = 16 << 10;
/// Refused for so long, a sender may take it that nothing more is taken. A silent process is not given
/// up so soon.
const REFUSED: Duration = Duration::from_millis(500);
const AGAIN: Duration = Duration::from_millis(1);

/// Offers at least `amount` messages to each, and goes on until they are refused.
pub(super) fn run(far: &Far, amount: u64, server: u32) -> Figures {
    let (counter, still) = (far.find("count")?, far.find("still")?);
    let own = std::process::id();
    let before = resident(own)?;
    signal(server, "STOP")?;
    let sent = fill(far, counter, amount);
    let sender = resident(own)? - before;
    signal(server, "CONT")?;
    far.check(counter, sent?)?;
    let before = resident(server)?;
    fill(far, still, amount)?;
    let receiver = resident(server)? - before;
    // Nobody else is held up.
    far.check(counter, Tally::default())?;
    Ok([sender, receiver].map(|bytes| (bytes / f64::from(1 << 20)).max(0.0)).to_vec())
}

/// Sends until nothing more is taken.
fn fill(far: &Far, to: Pid, least: u64) -> Result<Tally, String> {
    let mut sent = Tally::default();
    let mut refused: Option<Instant> = None;
    while refused.is_none_or(|since| since.elapsed() < REFUSED) {
        let data: Bytes = message(sent.count, SIZE);
        match far.rt.node().try_send(&far.addr, to, data.clone()) {
            Ok(()) => {
                sent.enter(&data);
                refused = None;
            }
            Err(RemoteSendError::Busy { .. }) => {
                refused.get_or_insert_with(Instant::now);
                std::thread::sleep(AGAIN);
            }
            Err(error) => return Err(error.to_string()),
        }
        if sent.count > 64 * least {
            return Err(format!("{} messages were taken, and nothing refused", sent.count));
        }
    }
    Ok(sent)
}

fn signal(process: u32, name: &str) -> Result<(), String> {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status().map_err(text)?;
    status.success().then_some(()).ok_or_else(|| format!("cannot send {name} to {process}"))
}

/// Bytes that a process has in memory.
fn resident(process: u32) -> Result<f64, String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).map_err(text)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no line VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().map_err(text)?;
    Ok(kib * 1024.0)
}
