//! Frames in their order. Small messages are encoded as they come, so that the thread that sends lets go
//! of their memory, and the writer takes a whole run of them at once.

use std::collections::{HashSet, VecDeque};

use bytes::{Bytes, BytesMut};

use crate::pid::Pid;
use crate::wire::level2::Frame;
use crate::wire::{Batch, COPY_BELOW, put_message};

/// A run is not made longer than this.
const LONGEST: usize = 64 << 10;

#[derive(Default)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
}

enum Entry {
    /// Messages that are encoded already.
    Run(Run),
    Frame(Frame),
}

/// Encoded messages, one behind the other. It begins with the memory of one, as there may be as many runs as messages.
#[derive(Default)]
pub(super) struct Run {
    bytes: BytesMut,
    messages: VecDeque<Message>,
}

struct Message {
    to: Pid,
    /// The length of the payload, and with its head.
    len: usize,
    encoded: usize,
}

impl Queue {
    /// Puts a frame at the end.
    pub(super) fn push_back(&mut self, frame: Frame) {
        match frame {
            Frame::Message { to: Some(to), data } if data.len() < COPY_BELOW => self.push_small(to, &data),
            frame => self.push(Entry::Frame(frame)),
        }
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.capacity() == 0 {
            // There may be as many queues as frames, with one in each.
            self.entries.reserve_exact(1);
        }
        self.entries.push_back(entry);
    }

    fn push_small(&mut self, to: Pid, data: &[u8]) {
        if !matches!(self.entries.back(), Some(Entry::Run(run)) if run.bytes.len() < LONGEST) {
            self.push(Entry::Run(Run::default()));
        }
        if let Some(Entry::Run(run)) = self.entries.back_mut() {
            run.push(to, data);
        }
    }

    /// What comes first, if that is a run of messages with something left in it.
    pub(super) fn front_run(&mut self) -> Option<&mut Run> {
        while matches!(self.entries.front(), Some(Entry::Run(run)) if run.messages.is_empty()) {
            self.entries.pop_front();
        }
        match self.entries.front_mut() {
            Some(Entry::Run(run)) => Some(run),
            _ => None,
        }
    }

    /// What comes first, if that is not a run.
    pub(super) fn front(&self) -> Option<&Frame> {
        match self.entries.front() {
            Some(Entry::Frame(frame)) => Some(frame),
            _ => None,
        }
    }

    /// As [`front`](Self::front), to be changed.
    pub(super) fn front_mut(&mut self) -> Option<&mut Frame> {
        match self.entries.front_mut() {
            Some(Entry::Frame(frame)) => Some(frame),
            _ => None,
        }
    }

    /// Takes what comes first, if that is not a run.
    pub(super) fn pop_front(&mut self) -> Option<Frame> {
        self.front()?;
        match self.entries.pop_front() {
            Some(Entry::Frame(frame)) => Some(frame),
            _ => None,
        }
    }

    /// Takes out the frames that `take` says, runs apart, in their order.
    pub(super) fn extract(&mut self, take: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let (mut rest, mut taken) = (VecDeque::new(), Vec::new());
        for entry in self.entries.drain(..) {
            match entry {
                Entry::Frame(frame) if take(&frame) => taken.push(frame),
                entry => rest.push_back(entry),
            }
        }
        self.entries = rest;
        taken
    }

    /// Takes out monitors behind which the word waits that takes them back, and that word: nobody has to hear of either.
    pub(super) fn take_undone(&mut self) -> Vec<Frame> {
        let (mut made, mut undone) = (HashSet::new(), HashSet::new());
        for entry in &self.entries {
            match entry {
                Entry::Frame(Frame::Monitor(monitor)) => drop(made.insert(monitor.id)),
                Entry::Frame(Frame::Demonitor(demonitor)) => undone.extend(made.take(&demonitor.id)),
                _ => {}
            }
        }
        if undone.is_empty() {
            return Vec::new();
        }
        self.extract(|frame| match frame {
            Frame::Monitor(monitor) => undone.contains(&monitor.id),
            Frame::Demonitor(demonitor) => undone.contains(&demonitor.id),
            _ => false,
        })
    }

    /// Every frame, in order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Frame> + use<> {
        std::mem::take(&mut self.entries).into_iter().flat_map(|entry| match entry {
            Entry::Frame(frame) => vec![frame],
            Entry::Run(run) => run.into_frames(),
        })
    }

    /// Whether nothing is left, a run that was used up apart.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry, Entry::Run(run) if run.messages.is_empty()))
    }

    /// How many entries there are; a run is one.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Extend<Frame> for Queue {
    fn extend<I: IntoIterator<Item = Frame>>(&mut self, frames: I) {
        frames.into_iter().for_each(|frame| self.push_back(frame));
    }
}

impl Run {
    fn push(&mut self, to: Pid, data: &[u8]) {
        let before = self.bytes.len();
        if before == 0 && self.messages.capacity() == 0 {
            self.messages.reserve_exact(1);
        }
        put_message(&mut self.bytes, Some(to), data);
        self.messages.push_back(Message { to, len: data.len(), encoded: self.bytes.len() - before });
    }

    /// Moves messages into `batch` until that holds `most` bytes, or `may` does not take the next one, by its
    /// length. False if that ended it.
    pub(super) fn fill(
        &mut self,
        batch: &mut Batch,
        most: usize,
        mut may: impl FnMut(usize) -> bool,
    ) -> bool {
        let (mut taken, mut goes) = (0, true);
        while batch.len() + taken < most
            && let Some(message) = self.messages.front()
        {
            goes = may(message.len);
            if !goes {
                break;
            }
            taken += message.encoded;
            self.messages.pop_front();
        }
        batch.encoded(self.bytes.split_to(taken));
        goes
    }

    fn into_frames(self) -> Vec<Frame> {
        let mut bytes = self.bytes.freeze();
        let frame = |Message { to, len, encoded }| {
            let data = bytes.split_to(encoded).split_off(encoded - len);
            Frame::Message { to: Some(to), data: Bytes::copy_from_slice(&data) }
        };
        self.messages.into_iter().map(frame).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: u32, number: u8, len: usize) -> Frame {
        Frame::Message { to: Pid::new(1, to), data: Bytes::from(vec![number; len]) }
    }

    /// Small messages to two actors, a large one and another frame between them.
    fn frames() -> Vec<Frame> {
        let mut frames: Vec<_> = (0..20).map(|number| message(number % 2, number as u8, 5)).collect();
        frames.insert(7, message(0, 100, COPY_BELOW));
        frames.insert(11, Frame::Ping);
        frames
    }

    fn written(frames: Vec<Frame>) -> Vec<u8> {
        let mut batch = Batch::new();
        frames.into_iter().for_each(|frame| batch.frame(frame));
        batch.take().concat()
    }

    #[test]
    fn g2_frames_leave_as_they_came_whatever_was_encoded_early() {
        let mut queue = Queue::default();
        queue.extend(frames());
        assert_eq!(queue.drain().collect::<Vec<_>>(), frames());
        assert!(queue.is_empty());
        queue.extend(frames());
        let mut batch = Batch::new();
        while !queue.is_empty() {
            if let Some(run) = queue.front_run() {
                // A batch of any size goes on where the last one ended.
                let most = batch.len() + 30;
                run.fill(&mut batch, most, |_| true);
            }
            queue.pop_front().into_iter().for_each(|frame| batch.frame(frame));
        }
        assert_eq!(batch.take().concat(), written(frames()));
    }

    #[test]
    fn l09_a_queue_of_one_frame_has_the_memory_of_one() {
        for frame in [Frame::Ping, message(1, 0, 5)] {
            let mut queue = Queue::default();
            queue.push_back(frame);
            assert_eq!(queue.entries.capacity(), 1);
        }
    }

    #[test]
    fn a_run_stops_where_there_is_no_credit() {
        let mut queue = Queue::default();
        queue.extend((0..3).map(|number| message(1, number, 5)));
        let mut batch = Batch::new();
        let mut credit = vec![(); 2];
        let run = queue.front_run().expect("a run");
        assert!(!run.fill(&mut batch, LONGEST, |_| credit.pop().is_some()));
        assert_eq!(batch.take().concat(), written((0..2).map(|number| message(1, number, 5)).collect()));
        assert_eq!(queue.drain().collect::<Vec<_>>(), [message(1, 2, 5)]);
    }
}
