//! Starts many actors, each of which then handles one message.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use myrmidon::actor::{Actor, Context, Flow};

use super::{each, runtime, wait_until};

static HANDLED: AtomicU64 = AtomicU64::new(0);

/// Adds to a count that all share.
struct One;

impl Actor for One {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        HANDLED.fetch_add(1, Ordering::Relaxed);
        Flow::Continue
    }
}

pub(super) fn run(actors: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let before = HANDLED.load(Ordering::Relaxed);
    let mut started = Vec::with_capacity(usize::try_from(actors).unwrap_or_default());
    let begun = Instant::now();
    for _ in 0..actors {
        started.push(rt.spawn(One));
    }
    let figure = each(actors, begun);
    for one in started {
        one.send(()).map_err(|error| error.to_string())?;
    }
    let handled = || HANDLED.load(Ordering::Relaxed) - before;
    wait_until(Duration::from_secs(60), || handled() == actors)
        .then_some(figure)
        .ok_or_else(|| format!("{} messages handled of {actors}", handled()))
}
