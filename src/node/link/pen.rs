//! The sender of a lane while its writer has nothing to do. It lies where every thread can reach it: who
//! puts something into the lane then writes it too, as far as the system takes it at once, and no other
//! thread has to wake for it.
//!
//! Only where a lane was quiet for a moment, or something has come from the other side since it was written. Who sends one message after
//! the other is not to make a system call for each; there the writer gathers what comes meanwhile. But who has been answered
//! has nothing more to gather.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::pace::BATCH;
use super::{Link, lock};
use crate::node::outbound::Load;
use crate::node::shared::now;
use crate::transport::LaneSender;
use crate::wire::Batch;

/// A lane that was written to within this is left to its writer.
const QUIET: Duration = Duration::from_micros(10);

/// What a lane has for whoever may write.
#[derive(Default)]
pub(super) struct Pen(Mutex<Place>);

#[derive(Default)]
struct Place {
    lent: Option<Lent>,
    /// The writer has come for the sender while somebody wrote with it.
    wanted: bool,
    last: Option<Instant>,
    /// What was [heard](Link::heard) before that.
    heard: u64,
}

/// A sender, and what has begun to be written and does not go at once.
pub(super) struct Lent {
    pub(super) sender: Box<dyn LaneSender>,
    pub(super) rest: Option<(Vec<Bytes>, Load)>,
}

impl Pen {
    /// Leaves the sender to whoever has something to write; `heard` is what was heard before it wrote last. True if its
    /// writer has come for it meanwhile.
    pub(super) fn put_down(&self, lent: Lent, heard: u64) -> bool {
        let mut place = lock(&self.0);
        place.lent = Some(lent);
        (place.last, place.heard) = (Some(now()), heard);
        std::mem::take(&mut place.wanted)
    }

    /// Gives the sender back to the writer, which is told when it is there if it is not.
    pub(super) fn take_back(&self) -> Option<Lent> {
        let mut place = lock(&self.0);
        let lent = place.lent.take();
        place.wanted = lent.is_none();
        lent
    }

    /// The sender, if it lies here, has written all it was given, and was not used just now, or before what was `heard`.
    fn pick_up(&self, heard: u64) -> Option<Lent> {
        let mut place = lock(&self.0);
        let quiet = place.heard != heard || place.last.is_none_or(|last| now() >= last + QUIET);
        let whole = place.lent.as_ref().is_some_and(|lent| lent.rest.is_none());
        if quiet && whole { place.lent.take() } else { None }
    }
}

impl Link {
    /// How often messages have come over this link: who wrote before the last time has been answered, perhaps.
    pub(super) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Messages have come.
    pub(super) fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Something was put into a lane whose writer waits: writes it, or has it written. To be called with
    /// no lock held.
    pub(in crate::node) fn rouse(&self, lane: usize) {
        let heard = self.heard();
        let lent = self.pens[lane].pick_up(heard);
        if !lent.is_some_and(|lent| self.write_at_once(lane, lent, heard)) {
            self.work[lane].notify_one();
        }
    }

    /// Writes what waits; false if there is something left for the writer.
    fn write_at_once(&self, lane: usize, mut lent: Lent, heard: u64) -> bool {
        let mut batch = Batch::new();
        let load = self.fill(lane, &mut batch, BATCH);
        let mut parts = batch.take();
        // The writer meets an error again, and knows what to do.
        let gone = parts.is_empty() || matches!(lent.sender.try_write(&mut parts), Ok(true));
        if gone {
            self.written(lane, load);
            self.shared.spin.touch();
        } else {
            lent.rest = Some((parts, load));
        }
        let wanted = self.pens[lane].put_down(lent, heard);
        // Only now may the next one who sends come for it.
        gone && !wanted && self.out().settle(lane)
    }
}
