//! What a runtime with many idle actors costs: processor time while nothing happens.

use std::collections::HashMap;
use std::ffi::OsString;
use std::thread;
use std::time::{Duration, Instant};

use myrmidon::actor::{Actor, Context, Flow};

use super::{LIMIT, runtime, wait_until};

struct Idle;

impl Actor for Idle {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }
}

pub(super) fn run(actors: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let idle: Vec<_> = (0..actors).map(|_| rt.spawn(Idle)).collect();
    for actor in &idle {
        actor.send(()).map_err(|error| error.to_string())?;
    }
    let drained = || idle.iter().all(|actor| rt.mailbox_size(actor.pid()) == Some(0));
    if !wait_until(LIMIT, drained) {
        return Err("messages are left".to_owned());
    }
    let (before, begun) = (processor_times()?, Instant::now());
    thread::sleep(Duration::from_secs(2));
    // A thread of an earlier runtime that has ended meanwhile is in the first look only.
    let earlier = |thread: &OsString| before.get(thread).copied().unwrap_or_default();
    let of_one = |(thread, used): (OsString, u64)| used.saturating_sub(earlier(&thread));
    let used: u64 = processor_times()?.into_iter().map(of_one).sum();
    Ok(used as f64 / begun.elapsed().as_nanos() as f64 * 100.0)
}

/// Nanoseconds that each thread of this process has used.
fn processor_times() -> Result<HashMap<OsString, u64>, String> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|error| error.to_string())?;
    let used = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((task.file_name(), text.split_whitespace().next()?.parse().ok()?))
    });
    Ok(used.collect())
}
