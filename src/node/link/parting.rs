//! Leaving without losing anything (protocol §6): who says what, and when it is over.
//!
//! Sans-IO. The side that begins ends every lane with GOAWAY; the other does the same, and when all of
//! the first one's lanes are read to their end it says DRAINED with its count; the first answers with
//! its own, and the other closes. If both begin, the one with the smaller life stays the beginner.

use super::table::Life;
use crate::wire::CloseCode;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Put GOAWAY with this code at the end of every lane.
    SayGoaway(CloseCode),
    /// Say DRAINED: everything that came is in its mailbox.
    SayDrained,
    /// Both sides have all of the other: end the lanes.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Beginner,
    Other,
}

/// How far the parting of one link is.
#[derive(Debug)]
pub(super) struct Parting {
    smaller: bool,
    role: Option<Role>,
    /// Lanes whose GOAWAY has come.
    ended: Vec<bool>,
    said_drained: bool,
    /// What the peer has of ours.
    confirmed: Option<u64>,
    peer_leaves: bool,
}

impl Parting {
    pub(super) fn new(me: Life, peer: Life, lanes: usize) -> Self {
        let ended = vec![false; lanes];
        Self {
            smaller: me < peer,
            role: None,
            ended,
            said_drained: false,
            confirmed: None,
            peer_leaves: false,
        }
    }

    /// This side leaves.
    pub(super) fn leave(&mut self) -> Vec<Step> {
        if self.role.is_some() {
            return Vec::new();
        }
        self.role = Some(Role::Beginner);
        vec![Step::SayGoaway(CloseCode::GoingAway)]
    }

    /// GOAWAY came on a lane, from a peer that begins or answers.
    pub(super) fn goaway(&mut self, lane: usize, begins: bool) -> Vec<Step> {
        self.ended[lane] = true;
        self.peer_leaves |= begins;
        let mut steps = Vec::new();
        match self.role {
            None => {
                self.role = Some(Role::Other);
                steps.push(Step::SayGoaway(CloseCode::Normal));
            }
            Some(Role::Beginner) if begins && !self.smaller => self.role = Some(Role::Other),
            Some(_) => {}
        }
        steps.extend(self.next());
        steps
    }

    /// DRAINED came.
    pub(super) fn drained(&mut self, received: u64) -> Vec<Step> {
        self.confirmed = Some(received);
        self.next().into_iter().collect()
    }

    /// Whether the peer's messages end here, by its own word.
    pub(super) fn has_ended(&self, lane: usize) -> bool {
        self.ended[lane]
    }

    /// Whether nothing of either side can be lost any more.
    pub(super) fn is_done(&self) -> bool {
        self.said_drained && self.confirmed.is_some()
    }

    /// Whether the peer has said that it leaves, and so does not come back in this life.
    pub(super) fn peer_leaves(&self) -> bool {
        self.peer_leaves
    }

    /// What the peer says it has of ours.
    pub(super) fn confirmed(&self) -> Option<u64> {
        self.confirmed
    }

    fn next(&mut self) -> Option<Step> {
        let all_read = self.ended.iter().all(|ended| *ended);
        let turn = match self.role? {
            Role::Beginner => self.confirmed.is_some(),
            Role::Other => true,
        };
        if all_read && turn && !self.said_drained {
            self.said_drained = true;
            return Some(Step::SayDrained);
        }
        (self.role == Some(Role::Other) && self.is_done()).then_some(Step::Close)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::level2::Id;

    fn life(n: u64) -> Life {
        Life { node: Id([n as u8; 16]), incarnation: n }
    }

    #[derive(Clone, Copy, Debug)]
    enum Word {
        Goaway(bool),
        Drained,
    }

    /// Two sides with `lanes` lanes; `order` decides which lane moves next. Who leaves is given.
    fn part(lanes: usize, leavers: [bool; 2], order: &[usize]) -> [Parting; 2] {
        let mut sides = [Parting::new(life(1), life(2), lanes), Parting::new(life(2), life(1), lanes)];
        let mut lines: Vec<[VecDeque<Word>; 2]> = vec![Default::default(); lanes];
        let mut closed = [false; 2];
        let act =
            |side: usize, steps: Vec<Step>, lines: &mut Vec<[VecDeque<Word>; 2]>, closed: &mut [bool; 2]| {
                for step in steps {
                    match step {
                        Step::SayGoaway(code) => {
                            let word = Word::Goaway(code == CloseCode::GoingAway);
                            lines.iter_mut().for_each(|line| line[1 - side].push_back(word));
                        }
                        Step::SayDrained => lines[0][1 - side].push_back(Word::Drained),
                        Step::Close => closed[side] = true,
                    }
                }
            };
        for side in 0..2 {
            if leavers[side] {
                let steps = sides[side].leave();
                act(side, steps, &mut lines, &mut closed);
            }
        }
        let mut order = order.iter().copied().chain(0..).take(1000);
        while lines.iter().flatten().any(|line| !line.is_empty()) {
            let pick = order.next().expect("it ends");
            let (lane, side) = (pick / 2 % lanes, pick % 2);
            let steps = match lines[lane][side].pop_front() {
                None => continue,
                Some(Word::Goaway(begins)) => sides[side].goaway(lane, begins),
                Some(Word::Drained) => sides[side].drained(7),
            };
            act(side, steps, &mut lines, &mut closed);
        }
        assert_eq!(closed.iter().filter(|closed| **closed).count(), 1, "one side closes");
        sides
    }

    proptest! {
        #[test]
        fn g8_a_parting_ends_with_both_counts_in_every_order(
            lanes in 1usize..6,
            both in any::<bool>(),
            first in 0usize..2,
            order in proptest::collection::vec(0usize..12, 0..200),
        ) {
            let mut leavers = [both; 2];
            leavers[first] = true;
            let sides = part(lanes, leavers, &order);
            prop_assert!(sides.iter().all(|side| side.is_done() && side.confirmed() == Some(7)));
        }
    }
}
