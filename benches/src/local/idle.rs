//! What a runtime with many idle actors costs: processor time while nothing happens.

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
    let (before, begun) = (processor_time()?, Instant::now());
    thread::sleep(Duration::from_secs(2));
    let used = processor_time()? - before;
    Ok(used.as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0)
}

/// What all threads of this process have used, to the nanosecond.
fn processor_time() -> Result<Duration, String> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|error| error.to_string())?;
    let used = tasks.flatten().filter_map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Ok(Duration::from_nanos(used.sum()))
}
