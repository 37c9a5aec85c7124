//! One producer thread, one actor that counts.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::actor::{Actor, Context, Flow};

use super::{Finish, rate, runtime};

/// Counts until it has seen the last message.
pub(super) struct Counter {
    pub(super) seen: u64,
    pub(super) last: u64,
    pub(super) done: SyncSender<u64>,
}

impl Actor for Counter {
    type Msg = u64;

    fn handle(&mut self, number: u64, _: &mut Context<'_>) -> Flow {
        self.seen += 1;
        if number == self.last {
            let _ = self.done.send(self.seen);
        }
        Flow::Continue
    }
}

pub(super) fn run(messages: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let counter = rt.spawn(Counter { seen: 0, last: messages - 1, done: finish.tell.clone() });
    let begun = Instant::now();
    for number in 0..messages {
        counter.send(number).map_err(|error| error.to_string())?;
    }
    finish.expect(1, messages)?;
    Ok(rate(messages, begun))
}
