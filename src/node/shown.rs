//! A value that tasks wait for.
//!
//! As tokio's `watch`, but whoever waits is woken in the order in which he came: `watch` wakes by
//! chance, and a simulation must not depend on that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Shown<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Shown<T> {
    pub(super) const fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::const_new() }
    }

    /// The value, which stays as it is while the guard lives.
    pub(super) fn read(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the value; `change` says whether who waits has to look at it. Hands that on.
    pub(super) fn modify(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let changed = change(&mut self.read());
        if changed {
            self.changed.notify_waiters();
        }
        changed
    }

    /// Puts another value in place.
    pub(super) fn set(&self, value: T) {
        self.modify(|old| {
            *old = value;
            true
        });
    }

    /// Waits until `found` finds something in the value. Cancel-safe.
    pub(super) async fn wait_for<R>(&self, mut found: impl FnMut(&T) -> Option<R>) -> R {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before the look at the value, so that no change is missed.
            changed.as_mut().enable();
            if let Some(found) = found(&self.read()) {
                return found;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_woken_in_the_order_in_which_he_came() {
        let (shown, order) = (Arc::new(Shown::new(0)), Arc::new(Mutex::new(Vec::new())));
        let waiting: Vec<_> = (0..20)
            .map(|n| {
                let (shown, order) = (shown.clone(), order.clone());
                tokio::spawn(async move {
                    shown.wait_for(|value| (*value == 2).then_some(())).await;
                    order.lock().unwrap().push(n);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        shown.set(1);
        tokio::task::yield_now().await;
        assert!(order.lock().unwrap().is_empty());
        shown.set(2);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}
