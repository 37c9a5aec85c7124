//! Code replaced again and again behind one PID.

use std::time::Instant;

use super::count::Counter;
use super::{Finish, each, runtime};

pub(super) fn run(swaps: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let counter = rt.spawn(Counter::after(u64::MAX, finish.tell.clone()));
    let begun = Instant::now();
    for _ in 1..swaps {
        counter.hot_swap(Counter::after(u64::MAX, finish.tell.clone())).map_err(|error| error.to_string())?;
    }
    // The message behind the last swap proves that all took place.
    counter.hot_swap(Counter::after(1, finish.tell.clone())).map_err(|error| error.to_string())?;
    counter.send(0).map_err(|error| error.to_string())?;
    finish.expect(1, 1)?;
    let version = rt.version(counter.pid());
    (version == Some(swaps + 1))
        .then(|| each(swaps, begun))
        .ok_or_else(|| format!("version {version:?} after {swaps} swaps"))
}
