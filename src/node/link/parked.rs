//! What waits behind the large payloads of one receiver.

use std::collections::VecDeque;

use crate::wire::level2::{Ask, Down, Frame, Reply};

/// A receiver that waits for payloads, and its later frames.
#[derive(Default)]
pub(super) struct Parked {
    frames: VecDeque<Frame>,
    /// Those that are messages, large ones included.
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Parked {
    /// How many frames.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(super) fn push(&mut self, frame: Frame) {
        match &frame {
            Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => {
                self.messages += 1;
                self.bytes += data.len();
            }
            Frame::Bulk(_) => self.messages += 1,
            _ => {}
        }
        self.frames.push_back(frame);
    }

    pub(super) fn pop(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        match &frame {
            Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => {
                self.messages -= 1;
                self.bytes -= data.len();
            }
            Frame::Bulk(_) => self.messages -= 1,
            _ => {}
        }
        Some(frame)
    }
}

/// The memory of a frame, roughly.
pub(super) fn weight(frame: &Frame) -> usize {
    let text = match frame {
        Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) | Frame::Reply(Reply { data, .. }) => {
            data.len()
        }
        Frame::Monitor(monitor) => monitor.name.as_str().len(),
        // Which is behind a pointer.
        Frame::Down(down) => size_of::<Down>() + down.name.as_str().len() + down.text.as_str().len(),
        Frame::Exit(exit) => exit.text.as_str().len(),
        _ => 0,
    };
    size_of::<Frame>() + text
}
