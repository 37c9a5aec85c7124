//! One producer thread, one actor that counts.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use myrmidon::actor::{Actor, Context, Flow};

use super::{Finish, rate, runtime};

/// Counts until it has seen all messages.
pub(super) struct Counter {
    seen: u64,
    all: u64,
    done: SyncSender<u64>,
}

impl Counter {
    /// Tells the count when it has reached `all`.
    pub(super) fn after(all: u64, done: SyncSender<u64>) -> Self {
        Self { seen: 0, all, done }
    }
}

impl Actor for Counter {
    type Msg = u64;

    fn handle(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        self.seen += 1;
        if self.seen == self.all {
            let _ = self.done.send(self.seen);
        }
        Flow::Continue
    }
}

pub(super) fn run(messages: u64) -> Result<f64, String> {
    let rt = runtime()?;
    let finish = Finish::new(1);
    let counter = rt.spawn(Counter::after(messages, finish.tell.clone()));
    let begun = Instant::now();
    for number in 0..messages {
        counter.send(number).map_err(|error| error.to_string())?;
    }
    finish.expect(1, messages)?;
    Ok(rate(messages, begun))
}
