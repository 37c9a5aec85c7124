//! Threads of the pool whose work waits for other work.

use std::sync::{Arc, Weak};

use super::{Blocking, POOL};

/// Threads of one pool that may stand aside at the same time.
const MOST_ASIDE: usize = 255;

/// A thread of the pool that stands aside while this lives.
#[must_use = "it is in the way again once this is dropped"]
pub struct Aside(Arc<Blocking>);

/// As many threads of the pool stand aside already as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded {
    /// How many.
    pub aside: usize,
}

/// To be called before work waits for other work. On a thread of the pool for blocking work, another thread may take its
/// place while the result lives; on other threads it does nothing.
///
/// # Errors
/// [`Crowded`] if too many stand aside.
pub fn step_aside() -> Result<Option<Aside>, Crowded> {
    let Some(pool) = POOL.with_borrow(Weak::upgrade) else { return Ok(None) };
    let mut state = pool.lock();
    if state.aside >= MOST_ASIDE {
        return Err(Crowded { aside: state.aside });
    }
    state.aside += 1;
    // What waits already found no thread. If none can be had it waits on.
    if state.waiting() > 0 {
        let _ = pool.provide_thread(&mut state);
    }
    drop(state);
    Ok(Some(Aside(pool)))
}

impl Drop for Aside {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.aside -= 1;
        if state.free > 0 && self.0.has_too_many(&state) {
            self.0.bell.notify_one();
        }
    }
}
