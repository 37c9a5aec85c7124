//! Frames that use no credit, while they wait: signals, what is said of them, and what keeps the link going.
//!
//! A peer decides how many of most of them there are, by what it says itself, so their memory has a bound (L09). Our own
//! monitors and links count too; the bound leaves room for all that a link can have.

use crate::node::link::parked::weight;
use crate::node::load::{Account, Budget, Load};
use crate::wire::level2::{Frame, Text16};

/// They may take so much more than messages: all monitors and links of a peer may be told of at once.
const TIMES: usize = 4;
/// And so much in any case.
const AT_LEAST: usize = 32 << 20;
/// Beyond a quarter of that a text is cut to so much.
const SHORT: usize = 128;

pub(super) struct Words {
    waiting: Account,
    most: usize,
}

/// There is no room for another one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Words {
    /// Beside messages of which `most` may wait.
    pub(super) fn new(most: Load, budget: Budget) -> Self {
        Self { waiting: Account::new(budget), most: most.bytes.saturating_mul(TIMES).max(AT_LEAST) }
    }

    /// Takes note of a frame that is to wait, and shortens it where much waits.
    pub(super) fn add(&mut self, frame: &mut Frame) -> Result<(), TooMany> {
        let waiting = self.waiting.load().bytes;
        if waiting >= self.most / 4 {
            shorten(frame);
        }
        let len = weight(frame);
        if waiting + len > self.most {
            return Err(TooMany);
        }
        self.waiting.add(len);
        Ok(())
    }

    /// The frame does not wait any more.
    pub(super) fn remove(&mut self, frame: &Frame) {
        self.waiting.remove(Load { messages: 1, bytes: weight(frame) });
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
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
    use super::*;
    use crate::pid::Pid;
    use crate::wire::level2::{Down, UnlinkAck};

    fn down(text: usize) -> Frame {
        Frame::Down(Box::new(Down {
            id: 1,
            to: None,
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
    fn l20_all_monitors_and_links_of_a_peer_may_be_told_of_at_once() {
        let most = Load { messages: 65_536, bytes: 16 << 20 };
        let mut words = Words::new(most, Budget::new(usize::MAX));
        for _ in 0..200_000 {
            assert_eq!(words.add(&mut down(16 << 10)).err(), None, "with long texts, which are cut");
        }
    }
}
