//! Waiting for conditions.

use std::time::{Duration, Instant};

/// Far longer than anything here takes on a busy machine; reaching it is a failure.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks `condition` until it gives a value.
///
/// # Panics
/// With `what`, when the deadline passes first.
pub fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "still waiting after {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
