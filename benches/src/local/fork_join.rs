//! One producer thread, sixty actors in turn.

use std::time::Instant;

use super::count::Counter;
use super::{Finish, rate, runtime};

const ACTORS: usize = 60;

pub(super) fn run(messages: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(ACTORS);
    let turns = messages / ACTORS as u64;
    let counters: Vec<_> = (0..ACTORS)
        .map(|_| rt.spawn(Counter { seen: 0, last: turns - 1, done: finish.tell.clone() }))
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
