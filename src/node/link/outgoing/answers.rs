//! How much of what we have answered waits to be written.
//!
//! An answer is there because a question has run, so turning it away wastes the work and tells who asked less than the
//! truth. It waits beside the messages, whose room it does not take; and while many wait, questions are refused before
//! they run. So what is left of the room is for answers to those that run already.

use crate::node::load::{Account, Budget, Load};

/// While this part of the room is taken, no question runs.
const PART: usize = 2;

pub(super) struct Answers {
    waiting: Account,
    /// So much may wait in any case, and as many.
    least: Load,
    /// And so much while the queues of the node have room.
    most: usize,
}

impl Answers {
    /// Beside messages of which `least` may wait.
    pub(super) fn new(least: Load, budget: Budget) -> Self {
        let most = budget.of_one_peer().max(least.bytes);
        Self { waiting: Account::new(budget), least, most }
    }

    /// Takes note of an answer that is to wait, unless it is one too many. One may go beyond the room, as it would not
    /// become smaller by being asked for again.
    pub(super) fn add(&mut self, len: usize) -> bool {
        let Load { messages, bytes } = self.waiting.load();
        let fits = bytes < self.least.bytes || (bytes < self.most && !self.waiting.is_spent());
        let fits = messages == 0 || (fits && messages < self.most_in_number());
        if fits {
            self.waiting.add(len);
        }
        fits
    }

    /// As [`add`](Self::add), for a refusal; also whether its text is too much.
    pub(super) fn add_refusal(&mut self, len: usize) -> Option<usize> {
        let Load { messages, bytes } = self.waiting.load();
        (messages < self.most_in_number()).then(|| {
            let len = if bytes + len > self.least.bytes { 0 } else { len };
            self.waiting.add(len);
            len
        })
    }

    /// These do not wait any more.
    pub(super) fn remove(&mut self, gone: Load) {
        self.waiting.remove(gone);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether so much waits that the peer should ask nothing.
    pub(super) fn are_many(&self) -> bool {
        let Load { messages, bytes } = self.waiting.load();
        messages >= self.least.messages || bytes >= self.most / PART
    }

    fn most_in_number(&self) -> usize {
        PART * self.least.messages.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn g5_answers_to_what_has_run_have_room_when_nothing_more_runs() {
        let budget = Budget::new(400 * MIB);
        let mut answers = Answers::new(Load { messages: 1000, bytes: 16 * MIB }, budget.clone());
        let ran = (0..).take_while(|_| !answers.are_many() && answers.add(MIB)).count();
        assert_eq!(ran, 50, "half of what one peer may take of all");
        assert_eq!((0..).take_while(|_| answers.add(20 * MIB)).count(), 3, "the last goes beyond");
        answers.remove(Load { messages: 1, bytes: 20 * MIB });
        assert!(answers.add(0) && answers.are_many());
        answers.clear();
        assert!(!answers.are_many() && budget.used() == 0);
    }

    #[test]
    fn l13_a_node_that_holds_as_much_as_it_may_still_answers_a_little() {
        let budget = Budget::new(100 * MIB);
        let mut other = Account::new(budget.clone());
        other.add(100 * MIB);
        let mut answers = Answers::new(Load { messages: 1000, bytes: 2 * MIB }, budget);
        assert_eq!((0..).take_while(|_| answers.add(MIB)).count(), 2);
    }
}
