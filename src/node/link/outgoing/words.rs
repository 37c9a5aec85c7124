//! Frames that use no credit, while they wait: signals, what is said of them, and what keeps the link going.
//!
//! A peer decides how many of most of them there are, by what it says itself, so their memory has a bound (L09). Our own
//! monitors and links count too; the bound leaves room for all that a link can have. An actor that monitors and
//! takes that back again and again while its target is spared is not the peer's doing: those that were taken back before
//! they could be told of are dropped when the bound is reached.

use crate::node::link::parked::weight;
use crate::node::load::{Account, Budget, Load};
use crate::wire::level2::{Frame, Text16};

/// They may take so much more than messages: all monitors and links of a peer may be told of at once.
const TIMES: usize = 8;
/// And so much in any case, as far as the node has that for one peer ([`Budget::of_one_peer`]).
const AT_LEAST: usize = 64 << 20;
/// What a frame takes beside its own memory: as if it were the only one that waits for its receiver, since there may be
/// as many receivers as frames.
const PLACE: usize = 200;
/// This part of all must become free by what was undone; else looking for it again and again would take too long.
const WORTH: usize = 8;
/// Beyond a quarter of that a text is cut to so much.
const SHORT: usize = 128;

pub(super) struct Words {
    waiting: Account,
    most: usize,
    /// There was no room, also without what was undone: the link ends.
    spent: bool,
}

/// There is no room for another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Words {
    /// Beside messages of which `most` may wait.
    pub(super) fn new(most: Load, budget: Budget) -> Self {
        let most = most.bytes.saturating_mul(TIMES).max(AT_LEAST).min(budget.of_one_peer());
        Self { waiting: Account::new(budget), most, spent: false }
    }

    /// As [`add`](Self::add), and where there is no room, once more without what `undone` takes out.
    pub(super) fn make_room(
        &mut self,
        frame: &mut Frame,
        undone: impl FnOnce() -> Vec<Frame>,
    ) -> Result<(), TooMany> {
        if self.add(frame).is_ok() {
            return Ok(());
        }
        if !self.spent {
            undone().iter().for_each(|frame| self.remove(frame));
            self.spent = self.waiting.load().bytes > self.most - self.most / WORTH;
        }
        if self.spent { Err(TooMany) } else { self.add(frame) }
    }

    /// Takes note of a frame that is to wait, and shortens it where much waits.
    fn add(&mut self, frame: &mut Frame) -> Result<(), TooMany> {
        let waiting = self.waiting.load().bytes;
        if waiting >= self.most / 4 {
            shorten(frame);
        }
        let len = memory(frame);
        if waiting + len > self.most {
            return Err(TooMany);
        }
        self.waiting.add(len);
        Ok(())
    }

    /// The frame does not wait any more.
    pub(super) fn remove(&mut self, frame: &Frame) {
        self.waiting.remove(Load { messages: 1, bytes: memory(frame) });
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

fn memory(frame: &Frame) -> usize {
    weight(frame) + if frame.to().is_some() { PLACE } else { 0 }
}

/// Leaves of a text what says most.
fn shorten(frame: &mut Frame) {
    let text = match frame {
        Frame::Down(down) => &mut down.text,
        Frame::Exit(exit) => &mut exit.text,
        _ => return,
    };
    let end = text.as_str().floor_char_boundary(SHORT);
    if end < text.as_str().len() {
        *text = Text16::from(&text.as_str()[..end]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bytes::Bytes;

    use super::*;
    use crate::node::link::credit::Allowance;
    use crate::node::link::outgoing::Outgoing;
    use crate::pid::Pid;
    use crate::wire::Batch;
    use crate::wire::level2::{Decoder, Demonitor, Down, Monitor, UnlinkAck};

    fn down(text: usize) -> Frame {
        Frame::Down(Box::new(Down {
            id: 1,
            to: Pid::new(1, 1),
            pid: None,
            reason: 7,
            name: Text16::default(),
            text: "x".repeat(text).as_str().into(),
        }))
    }

    #[test]
    fn l09_what_a_peer_does_not_read_is_bounded_and_what_it_reads_makes_room() {
        let mut words = Words::new(Load { messages: 1, bytes: 1 }, Budget::new(usize::MAX));
        let ack = || Frame::UnlinkAck(UnlinkAck { id: 1, to: Pid::new(1, 1), from: Pid::new(1, 2) });
        let taken = (0..1_000_000).take_while(|_| words.add(&mut ack()).is_ok()).count();
        assert!((100_000..800_000).contains(&taken), "{taken}");
        assert!(words.waiting.load().bytes <= AT_LEAST);
        words.remove(&ack());
        assert_eq!((words.add(&mut ack()), words.add(&mut ack())), (Ok(()), Err(TooMany)));
    }

    #[test]
    fn l13_one_peer_that_reads_nothing_takes_no_more_than_its_part_of_what_all_may_have() {
        let budget = Budget::new(100 << 20);
        let mut words = Words::new(Load { messages: 65_536, bytes: 16 << 20 }, budget.clone());
        while words.add(&mut down(100)).is_ok() {}
        assert!((24 << 20..=25 << 20).contains(&budget.used()), "{}", budget.used());
    }

    #[test]
    fn l20_all_monitors_and_links_of_a_peer_may_be_told_of_at_once() {
        let most = Load { messages: 65_536, bytes: 16 << 20 };
        // As of a node with 2 GiB of memory.
        let mut words = Words::new(most, Budget::new(512 << 20));
        for _ in 0..200_000 {
            assert_eq!(words.add(&mut down(16 << 10)).err(), None, "with long texts, which are cut");
        }
    }

    #[test]
    fn l09_s27_an_actor_that_monitors_a_spared_one_without_end_does_not_use_up_what_the_peer_may_have_waiting()
     {
        let most = Load { messages: 10, bytes: 1000 };
        let mut out = Outgoing::new(most, (1, 0), 1000, Allowance::new(10, 1000), Budget::new(usize::MAX));
        let spared = Pid::new(1, 1);
        let monitor = |id| Frame::Monitor(Monitor { id, to: spared, from: None, name: Text16::default() });
        let back = |id| Frame::Demonitor(Demonitor { id, to: spared, from: None });
        out.hold(spared.unwrap());
        out.push(spared, monitor(1)).expect("room");
        out.push_message(spared.unwrap(), Bytes::new()).unwrap();
        let times = 3 * AT_LEAST as u64 / memory(&back(0)) as u64;
        for id in 2..times {
            assert!(out.push(spared, monitor(id)).is_some() && out.push(spared, back(id)).is_some(), "{id}");
        }
        assert!(out.push(spared, back(1)).is_some());
        out.release(spared.unwrap());
        let (mut batch, mut decoder) = (Batch::new(), Decoder::new(1000));
        out.fill(1, &mut batch, usize::MAX, Instant::now());
        batch.take().into_iter().for_each(|bytes| decoder.feed(bytes));
        let told: Vec<_> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
        assert!(told.len() < times as usize, "{} of {times} twice", told.len());
        assert_eq!(told[..2], [monitor(1), Frame::Message { to: spared, data: Bytes::new() }]);
        assert_eq!((told.last(), out.words.waiting.load()), (Some(&back(1)), Load::default()));
    }

    #[test]
    fn l09_a_peer_that_reads_nothing_is_not_saved_by_little_that_was_undone() {
        let mut words = Words::new(Load { messages: 1, bytes: 1 }, Budget::new(usize::MAX));
        while words.add(&mut down(0)).is_ok() {}
        assert_eq!(words.make_room(&mut down(0), || vec![down(0); 10]), Err(TooMany));
        while words.add(&mut down(0)).is_ok() {}
        let again = || panic!("it looks for them once, and not at every frame that comes");
        assert_eq!(words.make_room(&mut down(0), again), Err(TooMany));
    }
}
