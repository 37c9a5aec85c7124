//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Far longer than anything here takes on a busy machine; reaching it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks `condition` until it gives a value.
///
/// # Panics
/// With `what`, when the deadline passes first.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(DEADLINE, what, condition)
}

/// The same with a deadline of its own, for what is meant to take long.
///
/// # Panics
/// With `what`, when the deadline passes first.
pub fn until_within<T>(deadline: Duration, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < deadline, "still waiting after {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
