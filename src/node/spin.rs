//! A thread that would sleep, and be woken a moment later, stays up instead: waking it costs more than
//! all else that a short message costs.
//!
//! Only while traffic is dense, and only for a moment after the last of it, so an idle node sleeps and
//! one with a message now and then does too. It yields to every other thread and task between two looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::shared::{Shared, Stage};

pub(super) struct Spin {
    /// How long it stays up, and how close together traffic must be for that; zero for never.
    most: u64,
    origin: Instant,
    /// When the last bytes came or went, in nanoseconds since `origin`.
    last: AtomicU64,
    up: AtomicBool,
    dense: Notify,
}

impl Spin {
    pub(super) fn new(most: Duration) -> Self {
        Self {
            most: u64::try_from(most.as_nanos()).unwrap_or(u64::MAX),
            origin: Instant::now(),
            last: AtomicU64::new(0),
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
        let before = self.last.swap(now, Ordering::Relaxed);
        if now.saturating_sub(before) < self.most && !self.up.load(Ordering::Relaxed) {
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
