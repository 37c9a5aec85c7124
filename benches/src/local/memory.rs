//! What an idle actor costs after its first message: resident memory of a process of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use myrmidon::actor::{Actor, Context, Flow};

use super::{LIMIT, resident, runtime, wait_until};

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

/// Bytes of resident memory of one of `actors`.
pub(super) fn run(actors: u64) -> Result<f64, String> {
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
