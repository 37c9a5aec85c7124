//! Questions that wait for room in a queue, as messages do (L10).
//!
//! Who sends waits himself. Who asks may wait for nothing, or in a language of its own, so a task of the node waits
//! in his place, until there is room, for no longer than a send would wait and for no longer than he wants an answer.
//!
//! Those for one actor stand in a line, and what is sent or asked there meanwhile stands behind them (G2).

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::{Life, Question, Unasked};
use super::load::{Account, Budget, Load};
use super::outbound::Refusal;
use super::shared::{Shared, Stage, now};
use crate::actor::AskError;
use crate::pid::Pid;

/// Who has given up is noticed within this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// An actor of one life of another node.
pub(super) type Target = (Life, Pid);

/// How many questions of a node wait for room. What they hold counts towards all of its queues (L13).
pub(super) struct Askers {
    waiting: Mutex<Waiting>,
    most: Load,
    /// How many wait: mostly none, and then nobody takes the lock. Written under it.
    count: AtomicUsize,
}

struct Waiting {
    account: Account,
    /// The numbers of those that wait, by the actor that is asked, each in its order.
    lines: HashMap<Target, VecDeque<u64>>,
    last: u64,
}

/// The place of a question that waits.
pub(super) struct Stay {
    shared: Arc<Shared>,
    target: Option<Target>,
    number: u64,
    load: Load,
    until: Instant,
}

impl Askers {
    /// At most `most` of them, with no more than one peer may take: what they hold others have no room for.
    pub(super) fn new(most: usize, budget: Budget) -> Self {
        let most = Load { messages: most, bytes: budget.of_one_peer() };
        let waiting = Waiting { account: Account::new(budget), lines: HashMap::new(), last: 0 };
        Self { waiting: Mutex::new(waiting), most, count: AtomicUsize::new(0) }
    }

    /// Whether a question to this actor waits, so that whatever else is for it has to wait behind that.
    pub(super) fn has_line(&self, target: Target) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.lock().lines.contains_key(&target)
    }

    /// A place at the end of the line for a question with so many bytes.
    fn admit(&self, target: Option<Target>, len: usize) -> Option<u64> {
        let mut waiting = self.lock();
        if !waiting.account.has_room(len, self.most) {
            return None;
        }
        waiting.account.add(len);
        waiting.last += 1;
        let number = waiting.last;
        if let Some(target) = target {
            waiting.lines.entry(target).or_default().push_back(number);
        }
        self.count.fetch_add(1, Ordering::Release);
        Some(number)
    }

    fn leave(&self, stay: &Stay) {
        let mut waiting = self.lock();
        waiting.account.remove(stay.load);
        if let Some(target) = stay.target
            && let Some(line) = waiting.lines.get_mut(&target)
        {
            line.retain(|other| *other != stay.number);
            if line.is_empty() {
                waiting.lines.remove(&target);
            }
        }
        self.count.fetch_sub(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Has a question wait for room with `wait`, if it was turned away for want of that and there is a place for one
    /// more that waits. It has its outcome in any case. With a
    /// `target` it stands in the line of that.
    pub(super) fn let_wait<W>(
        self: &Arc<Self>,
        unasked: Unasked,
        target: Option<Target>,
        wait: impl FnOnce(Stay, Unasked) -> W,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        let len = unasked.data.len();
        if !matches!(unasked.refusal, Refusal::Busy | Refusal::Held) {
            return unasked.refuse();
        }
        let Some(number) = self.askers.admit(target, len) else { return unasked.refuse() };
        let longest = now() + self.config.send_timeout;
        let until = unasked.question.deadline.map_or(longest, |deadline| deadline.min(longest));
        let stay =
            Stay { shared: self.clone(), target, number, load: Load { messages: 1, bytes: len }, until };
        self.spawn(wait(stay, unasked));
    }
}

impl Stay {
    /// Whether nobody stands before it in its line.
    pub(super) fn is_next(&self) -> bool {
        let Some(target) = self.target else { return true };
        let waiting = self.shared.askers.lock();
        waiting.lines.get(&target).and_then(|line| line.front()) == Some(&self.number)
    }

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
        self.shared.askers.leave(self);
    }
}
