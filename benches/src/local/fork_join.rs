//! One producer thread and many actors (Savina's fork-join, throughput and creation).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use myrmidon::actor::{Actor, Context, ExitReason, Flow, SpawnOptions};

use super::count::Counter;
use super::{Finish, LIMIT, each, rate, runtime, wait_until};

const ACTORS: usize = 60;

pub(super) fn run(messages: u64) -> Result<f64, String> {
    throughput(messages, &SpawnOptions::default())
}

/// Sends `messages` in all to actors that are started with these options.
pub(super) fn throughput(messages: u64, options: &SpawnOptions) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(ACTORS);
    let turns = messages / ACTORS as u64;
    let counters: Vec<_> = (0..ACTORS)
        .map(|_| rt.spawn_with(Counter::after(turns, finish.tell.clone()), options.clone()))
        .collect();
    let begun = Instant::now();
    for number in 0..turns {
        for counter in &counters {
            counter.send(number).map_err(|error| error.to_string())?;
        }
    }
    finish.expect(ACTORS, turns * ACTORS as u64)?;
    Ok(rate(turns * ACTORS as u64, begun))
}

/// Starts actors, each of which ends after its one message.
pub(super) fn create(actors: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let ended = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    for _ in 0..actors {
        let ended = ended.clone();
        let leaf = rt.spawn(Leaf(ended));
        leaf.send(()).map_err(|error| error.to_string())?;
    }
    wait_until(LIMIT, || ended.load(Ordering::Relaxed) == actors)
        .then(|| each(actors, begun))
        .ok_or_else(|| format!("{} actors ended of {actors}", ended.load(Ordering::Relaxed)))
}

/// Ends after one message.
struct Leaf(Arc<AtomicU64>);

impl Actor for Leaf {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        Flow::Stop(ExitReason::Normal)
    }

    fn stopped(&mut self, _: &ExitReason) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
