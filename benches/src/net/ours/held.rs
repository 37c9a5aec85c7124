//! What is held for those who do not read: first for a process that stands still, by its sender; then
//! for actors that do, by the process that they are in.

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
/// One receiver may have half of the room that is left. So many of them have all of it but a thirtieth.
const RECEIVERS: usize = 64;
/// Refused for so long, a sender may take it that nothing more is taken. A silent process is not given
/// up so soon.
const REFUSED: Duration = Duration::from_millis(500);
const AGAIN: Duration = Duration::from_millis(1);

/// The names of the receivers that are called `name`.
pub(super) fn names(name: &str) -> impl Iterator<Item = String> {
    (0..RECEIVERS).map(move |number| format!("{name} {number}"))
}

/// Offers at least `amount` messages to each kind of receiver, and goes on until all of them are refused.
pub(super) fn run(far: &Far, amount: u64, server: u32) -> Figures {
    let find = |name| names(name).map(|name| far.find(&name)).collect::<Result<Vec<_>, _>>();
    let (counters, still) = (find("count")?, find("still")?);
    let own = std::process::id();
    let (sender, receiver) = (resident(own)?, resident(server)?);
    signal(server, "STOP")?;
    let sent = fill(far, &counters, amount);
    let sender = resident(own)? - sender;
    signal(server, "CONT")?;
    for (counter, sent) in counters.iter().zip(sent?) {
        far.check(*counter, sent)?;
    }
    fill(far, &still, amount)?;
    // With what it needed for those that were counted, as that memory is used again.
    let receiver = resident(server)? - receiver;
    // Nobody else is held up.
    far.check(counters[0], Tally::default())?;
    Ok([sender, receiver].map(|bytes| (bytes / f64::from(1 << 20)).max(0.0)).to_vec())
}

/// Sends to each in turn until nothing more is taken for any of them.
fn fill(far: &Far, receivers: &[Pid], least: u64) -> Result<Vec<Tally>, String> {
    let mut sent = vec![Tally::default(); receivers.len()];
    let mut refused: Option<Instant> = None;
    while refused.is_none_or(|since| since.elapsed() < REFUSED) {
        let mut taken = false;
        for (to, sent) in receivers.iter().zip(&mut sent) {
            taken |= offer(far, *to, sent)?;
        }
        if taken {
            refused = None;
        } else {
            refused.get_or_insert_with(Instant::now);
            std::thread::sleep(AGAIN);
        }
        let count: u64 = sent.iter().map(|sent| sent.count).sum();
        if count > 64 * least.max(receivers.len() as u64) {
            return Err(format!("{count} messages were taken, and nothing refused"));
        }
    }
    Ok(sent)
}

/// Whether the next message is taken for that receiver.
fn offer(far: &Far, to: Pid, sent: &mut Tally) -> Result<bool, String> {
    let data: Bytes = message(sent.count, SIZE);
    match far.rt.node().try_send(&far.addr, to, data.clone()) {
        Ok(()) => {
            sent.enter(&data);
            Ok(true)
        }
        Err(RemoteSendError::Busy { .. }) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
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
