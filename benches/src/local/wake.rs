//! How long a message to an actor takes when nothing has happened for a while and its worker may sleep.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use myrmidon::actor::{Actor, Context, Flow};

use super::{LIMIT, percentiles, runtime};
use crate::measure::Figures;

/// Says how long each message was on its way, in nanoseconds and one more.
struct Sleeper(Arc<AtomicU64>);

impl Actor for Sleeper {
    type Msg = Instant;

    fn handle(&mut self, sent: Instant, _: &mut Context<'_>) -> Flow {
        self.0.store(waited(sent), Ordering::Release);
        Flow::Continue
    }
}

/// The nanoseconds since then and one more, as zero means that nothing was handled.
pub(crate) fn waited(sent: Instant) -> u64 {
    u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1
}

pub(super) fn run<const GAP_US: u64>(samples: u64) -> Figures {
    let rt = runtime()?;
    let handled = Arc::new(AtomicU64::new(0));
    let sleeper = rt.spawn(Sleeper(handled.clone()));
    sample(GAP_US, samples, &handled, || sleeper.send(Instant::now()).is_ok())
}

/// Sends a message after each gap, and waits for what its handler writes into `handled`.
pub(crate) fn sample(gap_us: u64, samples: u64, handled: &AtomicU64, send: impl Fn() -> bool) -> Figures {
    let mut waits = Vec::new();
    for _ in 0..samples {
        pause(Duration::from_micros(gap_us));
        if !send() {
            return Err("the actor has ended".to_owned());
        }
        waits.push(answer(handled).ok_or_else(|| format!("{} handled of {samples}", waits.len()))?);
    }
    percentiles(waits)
}

/// A thread that sleeps comes back some 50 us late: it spins through a short gap. In a long one both
/// cores are idle.
fn pause(gap: Duration) {
    if gap >= Duration::from_millis(1) {
        return std::thread::sleep(gap);
    }
    let begun = Instant::now();
    while begun.elapsed() < gap {
        std::hint::spin_loop();
    }
}

/// Looks again and again, and lets others have this core between two looks: where the system wakes the
/// worker on the sender's core, a sender that spins would be what is measured.
fn answer(handled: &AtomicU64) -> Option<Duration> {
    let begun = Instant::now();
    loop {
        match handled.swap(0, Ordering::Acquire) {
            0 if begun.elapsed() > LIMIT => return None,
            0 => std::thread::yield_now(),
            waited => return Some(Duration::from_nanos(waited - 1)),
        }
    }
}
