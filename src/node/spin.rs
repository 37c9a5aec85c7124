//! A thread that would sleep, and be woken a moment later, stays up instead: waking it costs more than
//! all else that a short message costs.
//!
//! Only while traffic is dense, and only for a moment after the last of it, so an idle node sleeps and
//! one with a message or a ping now and then does too. It yields to every other thread and task between two looks.
//! That has a price beside a thread that computes without pause: who yields to it has the core again when its turn is over,
//! milliseconds later, where one that slept would be woken at once. So a question and its answer are not dense yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::shared::{Shared, Stage};

/// So often in a row must bytes have come or gone: a ping and its pong are two times, and an ask with its answer, and what is
/// said of them on control, are a few.
const ROW: u32 = 8;

pub(super) struct Spin {
    /// How long it stays up, and how close together traffic must be for that; zero for never.
    most: u64,
    origin: Instant,
    /// When the last bytes came or went, in nanoseconds since `origin`.
    last: AtomicU64,
    /// How often in a row they did within that time. Threads that write it at once lose a count, which does not matter.
    row: AtomicU32,
    up: AtomicBool,
    dense: Notify,
}

impl Spin {
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most: u64::try_from(most.as_nanos()).unwrap_or(u64::MAX),
            origin: Instant::now(),
            last: AtomicU64::new(0),
            row: AtomicU32::new(0),
            up: AtomicBool::new(false),
            dense: Notify::new(),
        }
    }

    /// Bytes came or went.
    pub(super) fn touch(&self) {
        if self.most == 0 {
            return;
        }
        let now = self.now();
        let close = now.saturating_sub(self.last.swap(now, Ordering::Relaxed)) < self.most;
        let row = if close { self.row.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
        self.row.store(row, Ordering::Relaxed);
        if row >= ROW && !self.up.load(Ordering::Relaxed) {
            self.dense.notify_one();
        }
    }

    fn is_dense(&self) -> bool {
        self.now().saturating_sub(self.last.load(Ordering::Relaxed)) < self.most
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Keeps the thread of this task up while traffic is dense.
pub(super) async fn stay_up(shared: Arc<Shared>) {
    let spin = &shared.spin;
    loop {
        tokio::select! {
            biased;
            () = shared.at(Stage::Closed) => return,
            () = spin.dense.notified() => {}
        }
        spin.up.store(true, Ordering::Relaxed);
        while spin.is_dense() && shared.stage() != Stage::Closed {
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
        spin.up.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    /// Whether the thread of the sockets would stay up.
    fn stays_up(spin: &Spin) -> bool {
        std::pin::pin!(spin.dense.notified()).enable()
    }

    /// Bytes come or go `times` in a row, after a pause.
    fn touch(spin: &Spin, times: u32) {
        spin.last.store(0, Ordering::Relaxed);
        (0..times).for_each(|_| spin.touch());
    }

    #[test]
    fn a_question_with_its_answer_now_and_then_is_not_dense_and_many_in_a_row_are() {
        let origin = Instant::now().checked_sub(Duration::from_secs(3600 * 24)).unwrap_or_else(Instant::now);
        let spin = Spin { origin, ..Spin::new(Duration::from_secs(3600)) };
        for _ in 0..100 {
            touch(&spin, 2);
            assert!(!stays_up(&spin));
        }
        touch(&spin, 2 * ROW);
        assert!(stays_up(&spin));
    }

    #[test]
    fn a_thread_that_is_to_sleep_always_is_not_kept_up() {
        let spin = Spin::new(Duration::ZERO);
        touch(&spin, 100);
        assert!(!stays_up(&spin));
    }
}
