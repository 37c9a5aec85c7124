//! A thousand actors that send to one, each as fast as it can.

use std::time::Instant;

use myrmidon::actor::{Actor, ActorRef, Context, Flow};

use super::count::Counter;
use super::{Finish, rate, runtime};

const SENDERS: u64 = 1000;

/// Sends its share when told to.
struct Sender {
    target: ActorRef<u64>,
    messages: u64,
}

impl Actor for Sender {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        for _ in 0..self.messages {
            let _ = self.target.send(0);
        }
        Flow::Continue
    }
}

pub(super) fn run(messages: u64) -> Result<f64, String> {
    let each = (messages / SENDERS).max(1);
    let rt = runtime()?;
    let finish = Finish::new(1);
    let target = rt.spawn(Counter::after(each * SENDERS, finish.tell.clone()));
    let senders: Vec<_> =
        (0..SENDERS).map(|_| rt.spawn(Sender { target: target.clone(), messages: each })).collect();
    let begun = Instant::now();
    for sender in &senders {
        sender.send(()).map_err(|error| error.to_string())?;
    }
    finish.expect(1, each * SENDERS)?;
    Ok(rate(each * SENDERS, begun))
}
