//! Signs of life: asking for them, and giving them.

use std::collections::VecDeque;
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

/// Those who may wait for the next ping at once.
const MAX_ASKERS: usize = 65_536;

type Asker = oneshot::Sender<Duration>;

/// Pings whose pongs have not come: one of the clock, and one for all who have asked.
#[derive(Default)]
pub(super) struct Pings {
    sent: VecDeque<Ping>,
    /// Who has asked since the last one was sent; they have the next one together.
    next: Vec<Asker>,
}

/// A ping whose pong has not come.
struct Ping {
    sent: Instant,
    /// The clock's own ping has nobody to tell.
    askers: Vec<Asker>,
}

impl Pings {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Link {
    /// Asks for a sign of life; `None` when the link ends first.
    pub(in crate::node) async fn ping(&self) -> Option<Duration> {
        let (asker, answer) = oneshot::channel();
        self.ask_for_sign(&mut lock(&self.pings), asker);
        self.sign(answer).await
    }

    /// As [`ping`](Self::ping), for any number of callers: `None` if too many of them wait. The answer is to be
    /// waited for with [`sign`](Self::sign).
    pub(in crate::node) fn try_ping(&self) -> Option<oneshot::Receiver<Duration>> {
        let mut pings = lock(&self.pings);
        (pings.next.len() < MAX_ASKERS).then(|| {
            let (asker, answer) = oneshot::channel();
            self.ask_for_sign(&mut pings, asker);
            answer
        })
    }

    /// Waits for a sign of life that was asked for.
    pub(in crate::node) async fn sign(&self, answer: oneshot::Receiver<Duration>) -> Option<Duration> {
        tokio::select! {
            biased;
            answer = answer => answer.ok(),
            _ = self.ended() => None,
        }
    }

    fn ask_for_sign(&self, pings: &mut Pings, asker: Asker) {
        pings.next.push(asker);
        if pings.sent.iter().all(|ping| ping.askers.is_empty()) {
            self.send_ping_to(pings);
        }
    }

    /// Sends the ping of all who wait for the next one.
    fn send_ping_to(&self, pings: &mut Pings) {
        let askers = std::mem::take(&mut pings.next);
        pings.sent.push_back(Ping { sent: now(), askers });
        self.push(None, Frame::Ping);
    }

    /// Whether the peer gives a sign of life soon, before another link takes the place of this one.
    pub(super) async fn still_lives(&self) -> bool {
        matches!(timeout(LAST_SIGN, self.ping()).await, Ok(Some(_)))
    }

    /// Sends the ping of the clock.
    pub(super) fn send_ping(&self) {
        let mut pings = lock(&self.pings);
        pings.sent.push_back(Ping { sent: now(), askers: Vec::new() });
        self.push(None, Frame::Ping);
    }

    pub(super) fn pong(&self) {
        let Ping { sent, askers } = {
            let mut pings = lock(&self.pings);
            let Some(ping) = pings.sent.pop_front() else { return };
            if !ping.askers.is_empty() && !pings.next.is_empty() {
                self.send_ping_to(&mut pings);
            }
            ping
        };
        let round_trip = now().saturating_duration_since(sent);
        *lock(&self.round_trip) = Some(round_trip);
        let was_silent = lock(&self.clock).pong(now(), askers.is_empty(), self.shared.chance.spread());
        if was_silent {
            self.answers_again();
        }
        self.beat.notify_one();
        for asker in askers {
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
