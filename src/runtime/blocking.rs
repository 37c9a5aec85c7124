//! Blocking work that is no actor.

use super::Runtime;
use crate::scheduler::{SpawnBlockingError, Task};

impl Runtime {
    /// Runs `closure` on a thread of the pool for blocking work, inside the context of
    /// [`io`](Self::io). A shutdown waits for it, and for those that wait in line, as long as its drain
    /// lasts.
    ///
    /// # Errors
    /// Hands the closure back if all threads are busy and as many wait as may, if no thread can be had,
    /// or if the runtime is shut down.
    pub fn spawn_blocking<T, F>(&self, closure: F) -> Result<Task<T>, SpawnBlockingError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.inner.scheduler.spawn_blocking(closure)
    }

    /// As [`spawn_blocking`](Self::spawn_blocking), for a closure that does little but wait for actors: it has its
    /// thread at once, besides [`blocking_threads`](crate::config::RuntimeConfig::blocking_threads), since what it waits for
    /// may need one of those.
    ///
    /// # Errors
    /// Hands the closure back if no thread can be had, or if the runtime is shut down.
    pub fn spawn_beside<T, F>(&self, closure: F) -> Result<Task<T>, SpawnBlockingError<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.inner.scheduler.spawn_beside(closure)
    }
}
