//! A closure on the blocking pool, and the way back of its result.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Job;
use crate::actor::panic_text;

/// What a closure given to [`Runtime::spawn_blocking`](crate::Runtime::spawn_blocking) will return. It is
/// a future, and can be waited for on a thread. Dropping it drops the result; the closure runs
/// nevertheless.
#[must_use = "it has the result, or the panic"]
pub struct Task<T>(Arc<Shared<T>>);

/// Why a closure gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It panicked, with this text.
    #[error("the closure panicked: {0}")]
    Panicked(String),
    /// The runtime was shut down before the closure had its turn.
    #[error("the runtime was shut down before the closure ran; give it a longer drain")]
    ShutDown,
    /// It has not returned in time, and goes on. The task can be waited for again.
    #[error("the closure has not returned in time")]
    Timeout,
    /// The result was taken before.
    #[error("the result of the closure was taken before")]
    Taken,
}

/// Why a closure was not taken. It is handed back.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SpawnBlockingError<F> {
    /// All threads are busy and as many closures wait as may.
    #[error(
        "all threads for blocking work are busy and {waiting} closures wait: try again later, or raise \
             RuntimeConfig::blocking_threads or blocking_queue"
    )]
    Full {
        /// Closures that wait.
        waiting: usize,
        /// The closure.
        closure: F,
    },
    /// The system has no room for a first thread.
    #[error("cannot start a thread for blocking work: {error}; is a limit on threads or memory reached?")]
    NoThread {
        /// What the system said.
        error: std::io::Error,
        /// The closure.
        closure: F,
    },
    /// The runtime is shut down.
    #[error("the runtime is shut down and runs no more closures")]
    ShutDown {
        /// The closure.
        closure: F,
    },
}

impl<F> SpawnBlockingError<F> {
    /// The closure that was not taken.
    pub fn into_closure(self) -> F {
        match self {
            Self::Full { closure, .. } | Self::NoThread { closure, .. } | Self::ShutDown { closure } => {
                closure
            }
        }
    }
}

/// Leaves the closure out, which is not `Debug`.
impl<F> fmt::Debug for SpawnBlockingError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Shared<T> {
    outcome: Mutex<Outcome<T>>,
    told: Condvar,
}

enum Outcome<T> {
    Awaited(Option<Waker>),
    Known(Result<T, TaskError>),
    Taken,
}

impl<T: Send + 'static> Task<T> {
    /// The closure as a job, and the task that awaits it.
    pub(crate) fn of(closure: impl FnOnce() -> T + Send + 'static) -> (Job, Self) {
        let shared = Arc::new(Shared { outcome: Mutex::new(Outcome::Awaited(None)), told: Condvar::new() });
        let teller = Teller(shared.clone());
        let job = move || {
            let result = catch_unwind(AssertUnwindSafe(closure));
            teller.0.tell(result.map_err(|panic| TaskError::Panicked(panic_text(panic))));
        };
        (Box::new(job), Self(shared))
    }
}

impl<T> Task<T> {
    /// Waits on this thread, at most for `within`. In a handler it holds up the worker: await the task in an
    /// [`AsyncActor`](crate::actor::AsyncActor) there.
    ///
    /// # Errors
    /// If the closure panicked, was never run, or has not returned in time.
    pub fn wait(&mut self, within: Duration) -> Result<T, TaskError> {
        let awaited = |outcome: &mut Outcome<T>| matches!(outcome, Outcome::Awaited(_));
        let waited = self.0.told.wait_timeout_while(self.0.lock(), within, awaited);
        let mut outcome = waited.unwrap_or_else(PoisonError::into_inner).0;
        outcome.take().unwrap_or(Err(TaskError::Timeout))
    }

    /// Whether [`wait`](Self::wait) would return at once.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.0.lock(), Outcome::Awaited(_))
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = self.0.lock();
        if let Some(result) = outcome.take() {
            return Poll::Ready(result);
        }
        *outcome = Outcome::Awaited(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("finished", &self.is_finished()).finish()
    }
}

impl<T> Shared<T> {
    fn tell(&self, result: Result<T, TaskError>) {
        let before = std::mem::replace(&mut *self.lock(), Outcome::Known(result));
        self.told.notify_all();
        if let Outcome::Awaited(Some(waker)) = before {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Outcome<T>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Outcome<T> {
    /// The result; none while it is awaited.
    fn take(&mut self) -> Option<Result<T, TaskError>> {
        match self {
            Self::Awaited(_) => None,
            Self::Known(_) | Self::Taken => match std::mem::replace(self, Self::Taken) {
                Self::Known(result) => Some(result),
                _ => Some(Err(TaskError::Taken)),
            },
        }
    }
}

/// Tells the end of a closure that is dropped without having run.
struct Teller<T>(Arc<Shared<T>>);

impl<T> Drop for Teller<T> {
    fn drop(&mut self) {
        if matches!(*self.0.lock(), Outcome::Awaited(_)) {
            self.0.tell(Err(TaskError::ShutDown));
        }
    }
}
