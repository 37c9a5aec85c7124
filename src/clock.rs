//! What time it is: the machine's, or that of a simulation, which goes on only when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The clock of one runtime. Cheap to clone; all clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// `None` for the machine's clock.
    set: Option<Arc<SetTime>>,
}

/// A time that somebody sets.
#[derive(Debug)]
struct SetTime {
    start: Instant,
    /// Nanoseconds since `start`; enough for five hundred years.
    passed: AtomicU64,
}

impl Clock {
    /// The machine's monotonic clock.
    pub const fn real() -> Self {
        Self { set: None }
    }

    /// A clock that stands still until [`advance_to`](Self::advance_to).
    pub(crate) fn virtual_from(start: Instant) -> Self {
        Self { set: Some(Arc::new(SetTime { start, passed: AtomicU64::new(0) })) }
    }

    /// The time by this clock.
    pub fn now(&self) -> Instant {
        match &self.set {
            None => Instant::now(),
            Some(set) => set.start + Duration::from_nanos(set.passed.load(Ordering::Acquire)),
        }
    }

    /// Whether the time is that of a simulation.
    pub fn is_virtual(&self) -> bool {
        self.set.is_some()
    }

    /// The time since a virtual clock was made; zero for the machine's.
    pub(crate) fn passed(&self) -> Duration {
        let passed = self.set.as_ref().map_or(0, |set| set.passed.load(Ordering::Acquire));
        Duration::from_nanos(passed)
    }

    /// Moves a virtual clock forward to `time`; it never goes back.
    pub(crate) fn advance_to(&self, time: Instant) {
        let Some(set) = &self.set else { return };
        let passed = time.saturating_duration_since(set.start).as_nanos();
        set.passed.fetch_max(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_virtual_clock_moves_forward_only_and_in_all_clones() {
        let start = Instant::now();
        let clock = Clock::virtual_from(start);
        let clone = clock.clone();
        assert_eq!(clone.now(), start);
        clock.advance_to(start + Duration::from_secs(5));
        clock.advance_to(start + Duration::from_secs(3));
        assert_eq!(clone.now(), start + Duration::from_secs(5));
        assert_eq!(clone.passed(), Duration::from_secs(5));
        assert!(clock.is_virtual() && !Clock::real().is_virtual());
    }
}
