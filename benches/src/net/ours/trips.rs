//! One message at a time, there and back, from handler to handler.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use myrmidon::actor::{Context, Flow};

use super::super::halves::Kind;
use super::super::message::{SMALL, message};
use super::drive::Far;
use super::serve::{self, back_to};
use super::{node, text};
use crate::local::{LIMIT, percentiles};
use crate::measure::Figures;

/// Trips before the clock runs.
const WARM_UP: u64 = 200;

/// With both nodes in this process.
pub(super) fn inside(kind: Kind, amount: u64) -> Figures {
    let (other, addr) = node(kind, "inside")?;
    serve::start(&other)?;
    between(&Far::reach(kind, "inside", &addr.to_string())?, amount)
}

/// The actor that gets a message back sends the next one.
pub(super) fn between(far: &Far, amount: u64) -> Figures {
    let echo = far.find("echo")?;
    let (rt, addr) = (far.rt.clone(), far.addr.clone());
    let (done, waits) = sync_channel(1);
    let mut trips = Trips { number: 0, all: WARM_UP + amount, begun: Instant::now(), waits: Vec::new() };
    let send = move |number| rt.node().try_send(&addr, echo, message(number, SMALL));
    let traveller = far.rt.spawn_fn(move |back: Bytes, _: &mut Context<'_>| match trips.next(&back) {
        Ok(Some(number)) => {
            if let Err(error) = send(number) {
                let _ = done.send(Err(error.to_string()));
            }
            Flow::Continue
        }
        Ok(None) => {
            let _ = done.send(Ok(std::mem::take(&mut trips.waits)));
            Flow::Continue
        }
        Err(error) => {
            let _ = done.send(Err(error));
            Flow::Continue
        }
    });
    far.send(echo, back_to(&far.here, traveller))?;
    far.rt.send(traveller, Bytes::new()).map_err(text)?;
    percentiles(waits.recv_timeout(LIMIT).map_err(|_| "not every message came back")??)
}

struct Trips {
    number: u64,
    all: u64,
    begun: Instant,
    waits: Vec<Duration>,
}

impl Trips {
    /// The number of the next message, after this one has come back; the first is an empty one.
    fn next(&mut self, back: &[u8]) -> Result<Option<u64>, String> {
        if !back.is_empty() {
            if back != message(self.number, SMALL) {
                return Err(format!("message {} came back changed", self.number));
            }
            if self.number > WARM_UP {
                self.waits.push(self.begun.elapsed());
            }
        }
        self.number += 1;
        self.begun = Instant::now();
        Ok((self.number <= self.all).then_some(self.number))
    }
}
