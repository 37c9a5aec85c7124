//! One thread that sends in parts of so many messages, for one wake-up each, to one actor that counts.

use std::time::Instant;

use super::count::Counter;
use super::{Finish, rate, runtime};

/// Messages of one call.
const PART: u64 = 100;

pub(super) fn run(messages: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let counter = rt.spawn(Counter::after(messages, finish.tell.clone()));
    let begun = Instant::now();
    for part in (0..messages).step_by(PART as usize) {
        let numbers = part..messages.min(part + PART);
        counter.send_many(numbers).map_err(|error| error.to_string())?;
    }
    finish.expect(1, messages)?;
    Ok(rate(messages, begun))
}
