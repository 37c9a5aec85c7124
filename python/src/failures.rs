//! What has failed in a runtime while somebody looks: for tests, which are not to depend on what the program logs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pyo3::prelude::*;

use crate::runtime::Runtime;

/// Texts that one who looks has kept for him; of more he learns the number.
const MOST: usize = 1024;

/// Who looks at one runtime.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Vec<Weak<Mutex<Seen>>>>);

#[derive(Default)]
struct Seen {
    texts: Vec<String>,
    left_out: usize,
}

/// What has failed since it was made.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Failures(Arc<Mutex<Seen>>);

#[pymethods]
impl Failures {
    /// A text for each, in the order in which they came about.
    fn texts(&self) -> Vec<String> {
        let seen = locked(&self.0);
        let more = (seen.left_out > 0).then(|| format!("and {} more", seen.left_out));
        seen.texts.iter().cloned().chain(more).collect()
    }
}

#[pymethods]
impl Runtime {
    /// Looks from now on, as long as what it returns is there, for code of actors that fails though nobody is told.
    fn _watch_failures(&self) -> PyResult<Failures> {
        self.core()?;
        let seen = Arc::default();
        let mut watchers = locked(&self.shared().desk.failures.0);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&seen));
        Ok(Failures(seen))
    }
}

impl Watchers {
    /// Shows everybody who looks a failure.
    pub(crate) fn show(&self, text: &str) {
        for seen in locked(&self.0).iter().filter_map(Weak::upgrade) {
            let mut seen = locked(&seen);
            if seen.texts.len() < MOST {
                seen.texts.push(text.to_owned());
            } else {
                seen.left_out += 1;
            }
        }
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
