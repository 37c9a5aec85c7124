//! Signs of life: asking for them, and giving them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Link, lock};
use crate::node::shared::now;
use crate::wire::level2::Frame;

/// How long a link that is to give way may take to show that it lives.
const LAST_SIGN: Duration = Duration::from_secs(1);

/// A ping whose pong has not come.
pub(super) struct Ping {
    sent: Instant,
    /// The clock's own ping has nobody to tell.
    asker: Option<oneshot::Sender<Duration>>,
}

impl Link {
    /// Asks for a sign of life; `None` when the link ends first.
    pub(in crate::node) async fn ping(&self) -> Option<Duration> {
        let (asker, answer) = oneshot::channel();
        self.send_ping(Some(asker));
        tokio::select! {
            biased;
            answer = answer => answer.ok(),
            _ = self.ended() => None,
        }
    }

    /// Whether the peer gives a sign of life soon, before another link takes the place of this one.
    pub(super) async fn still_lives(&self) -> bool {
        matches!(timeout(LAST_SIGN, self.ping()).await, Ok(Some(_)))
    }

    pub(super) fn send_ping(&self, asker: Option<oneshot::Sender<Duration>>) {
        let mut pings = lock(&self.pings);
        pings.push_back(Ping { sent: now(), asker });
        self.push(None, Frame::Ping);
    }

    pub(super) fn pong(&self) {
        let Some(Ping { sent, asker }) = lock(&self.pings).pop_front() else { return };
        let round_trip = now().saturating_duration_since(sent);
        *lock(&self.round_trip) = Some(round_trip);
        let was_silent = lock(&self.clock).pong(now(), asker.is_none(), self.shared.chance.spread());
        if was_silent {
            self.answers_again();
        }
        self.beat.notify_one();
        if let Some(asker) = asker {
            // The asker may have given up.
            let _ = asker.send(round_trip);
        }
    }

    /// Lets a scheduler worker answer, so that a frozen scheduler shows (D12). Control goes on.
    pub(super) fn answer_ping(self: &Arc<Self>) {
        if self.pongs_owed.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let link = self.clone();
        self.shared.local.on_worker(Box::new(move || {
            for _ in 0..link.pongs_owed.swap(0, Ordering::AcqRel) {
                link.push_at_once(None, Frame::Pong);
            }
        }));
    }
}
