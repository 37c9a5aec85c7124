//! Questions that wait for room in a queue, as messages do (L10).
//!
//! Who sends waits himself. Who asks may wait for nothing, or in a language of its own, so a task of the node waits
//! in his place, until there is room, for no longer than a send would wait and for no longer than he wants an answer.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::{Question, Unasked};
use super::load::{Account, Budget, Load};
use super::outbound::Refusal;
use super::shared::{Shared, Stage, now};
use crate::actor::AskError;

/// Who has given up is noticed within this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How many questions of a node wait for room. What they hold counts towards all of its queues (L13).
pub(super) struct Askers {
    waiting: Mutex<Account>,
    most: Load,
}

/// The place of a question that waits.
pub(super) struct Stay {
    shared: Arc<Shared>,
    load: Load,
    until: Instant,
}

impl Askers {
    /// At most `most` of them, with no more than one peer may take: what they hold others have no room for.
    pub(super) fn new(most: usize, budget: Budget) -> Self {
        let most = Load { messages: most, bytes: budget.of_one_peer() };
        Self { waiting: Mutex::new(Account::new(budget)), most }
    }

    fn admit(&self, len: usize) -> bool {
        let mut waiting = self.lock();
        let fits = waiting.has_room(len, self.most);
        if fits {
            waiting.add(len);
        }
        fits
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Has a question wait for room with `wait`, if it was turned away for want of that and there is a place for one
    /// more that waits. It has its outcome in any case.
    pub(super) fn let_wait<W>(self: &Arc<Self>, unasked: Unasked, wait: impl FnOnce(Stay, Unasked) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let len = unasked.data.len();
        if !matches!(unasked.refusal, Refusal::Busy | Refusal::Held) || !self.askers.admit(len) {
            return unasked.refuse();
        }
        let longest = now() + self.config.send_timeout;
        let until = unasked.question.deadline.map_or(longest, |deadline| deadline.min(longest));
        let stay = Stay { shared: self.clone(), load: Load { messages: 1, bytes: len }, until };
        self.spawn(wait(stay, unasked));
    }
}

impl Stay {
    /// Waits for `room`; false if the question is not to wait any longer.
    pub(super) async fn wait(&self, room: impl Future<Output = ()>, question: &mut Question) -> bool {
        let mut room = pin!(room);
        while now() < self.until && !question.reply.is_abandoned() {
            let look = tokio::time::sleep_until(self.until.min(now() + LOOK_AGAIN).into());
            tokio::select! {
                biased;
                () = self.shared.at(Stage::Draining) => return false,
                () = &mut room => return true,
                () = look => {}
            }
        }
        false
    }

    /// Tells who asked that his question waited in vain.
    pub(super) fn give_up(&self, mut unasked: Unasked) {
        if unasked.question.deadline.is_some_and(|deadline| now() >= deadline) {
            let reply = unasked.question.reply;
            let pid = reply.asked();
            reply.refuse(AskError::Timeout(pid));
        } else {
            if self.shared.stage() != Stage::Running {
                unasked.refusal = Refusal::Closed;
            }
            unasked.refuse();
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.shared.askers.lock().remove(self.load);
    }
}
