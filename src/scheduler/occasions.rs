//! Whether it is worth it that a thread does something short for another: only where it is asked for again and again, and not
//! soon after it was not short.

use std::time::{Duration, Instant};

use crate::sync::{AtomicU64, Ordering};

/// For how many times as long as one took that was not short there is none.
const PAUSE: u32 = 20;
/// One that takes longer is taken over by another thread.
const LONGEST: Duration = Duration::from_millis(6);
/// After so long without an occasion the next one is none: shorter than what those who look after this
/// thread stay awake for.
const REST: Duration = Duration::from_millis(20);

pub(super) struct Occasions {
    origin: Instant,
    /// Until then there are none, in nanoseconds since `origin`.
    pause_until: AtomicU64,
    /// When there was the last, in the same time.
    last: AtomicU64,
}

impl Occasions {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), pause_until: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    /// Here is an occasion: whether it may be taken. Asked by one thread at a time.
    pub(super) fn may_take(&self) -> bool {
        let now = self.now();
        let last = self.last.load(Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        now >= self.pause_until.load(Ordering::Relaxed) && now.saturating_sub(last) < nanos(REST)
    }

    /// The last one was not short.
    pub(super) fn took(&self, time: Duration) {
        let pause = time.min(LONGEST) * PAUSE;
        // Not back from the one that lasts.
        self.pause_until.fetch_max(self.now() + nanos(pause), Ordering::Relaxed);
    }

    /// From now on there are none.
    pub(super) fn end(&self) {
        self.pause_until.store(u64::MAX, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        nanos(self.origin.elapsed())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
