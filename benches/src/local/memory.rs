//! What an idle actor costs after its first message: resident memory of a process of its own.

use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use myrmidon::actor::{Actor, Context, Flow};

use super::{LIMIT, runtime, wait_until};

/// The option with which this program measures itself in a child process.
pub(crate) const CHILD: &str = "--idle-memory";

static HANDLED: AtomicU64 = AtomicU64::new(0);

/// Has one word of state.
struct Idle(u64);

impl Actor for Idle {
    type Msg = u64;

    fn handle(&mut self, number: u64, _: &mut Context<'_>) -> Flow {
        self.0 += number;
        HANDLED.fetch_add(1, Ordering::Relaxed);
        Flow::Continue
    }
}

pub(super) fn run(actors: u64) -> Result<f64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(program).args([CHILD, &actors.to_string()]).output();
    let output = child.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

/// What the child process does: bytes of resident memory for one of `actors`.
///
/// # Errors
/// If a message was not handled, or the system does not tell how much memory is used.
pub(crate) fn measure(actors: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let before = resident()?;
    for number in 0..actors {
        rt.spawn(Idle(0)).send(number).map_err(|error| error.to_string())?;
    }
    if !wait_until(LIMIT, || HANDLED.load(Ordering::Relaxed) == actors) {
        return Err(format!("{} messages handled of {actors}", HANDLED.load(Ordering::Relaxed)));
    }
    let used = resident()?.saturating_sub(before);
    Ok(used as f64 / actors as f64)
}

/// Resident bytes of this process.
fn resident() -> Result<u64, String> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "no Rss line".to_owned())?;
    Ok(kib * 1024)
}
