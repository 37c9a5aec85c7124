//! Waiting for a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::actor::current;
use crate::wheel::{Alarm, Wheels};

/// What [`Timers::sleep`](super::Timers::sleep) gives. Dropped early, it leaves nothing behind.
#[must_use = "nothing waits before it is awaited"]
pub struct Sleep(Alarm<Arc<Wheels>>);

impl Sleep {
    pub(super) fn new(wheels: &Arc<Wheels>, delay: Duration) -> Self {
        let near = current().map_or(0, |pid| pid.index());
        Self(Alarm::new(wheels.clone(), wheels.after(delay), near))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx).map(drop)
    }
}

impl std::fmt::Debug for Sleep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sleep")
    }
}
