//! Arming and cancelling timers that are tasks of tokio, as those of ractor and kameo are.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::local::{LIMIT, each, timer_delay, wait_until};
use crate::measure::Figures;

/// Nanoseconds to arm and to cancel a timer while so many others wait. An abort by itself leaves a note
/// for a worker: a timer is cancelled when its handle says so, as ours and Erlang's say at once.
pub(in crate::peers::rust) fn time_timers<T: Send + 'static>(
    rt: &Runtime,
    alive: u64,
    arm: impl Fn(Duration) -> JoinHandle<T>,
) -> Figures {
    let before = rt.metrics().num_alive_tasks();
    let stay: Vec<_> = (0..alive).map(|number| arm(timer_delay(number))).collect();
    let measured = alive.div_ceil(10);
    let begun = Instant::now();
    let timers: Vec<_> = (0..measured).map(|number| arm(timer_delay(number))).collect();
    let armed = each(measured, begun);
    let begun = Instant::now();
    timers.iter().for_each(JoinHandle::abort);
    let all = rt.block_on(all_cancelled(timers));
    let cancelled = each(measured, begun);
    // A task is counted a moment longer than its handle says.
    let waiting = || rt.metrics().num_alive_tasks() - before;
    let right = all && wait_until(LIMIT, || waiting() == stay.len());
    let found = waiting();
    stay.iter().for_each(JoinHandle::abort);
    right
        .then(|| vec![armed, cancelled])
        .ok_or_else(|| format!("{found} timers wait instead of {}", stay.len()))
}

async fn all_cancelled<T>(timers: Vec<JoinHandle<T>>) -> bool {
    let mut all = true;
    for timer in timers {
        all &= timer.await.is_err_and(|error| error.is_cancelled());
    }
    all
}
