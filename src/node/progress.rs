//! Whether a frame that has begun comes along fast enough (L08). Between two frames a peer may be silent for
//! as long as it likes.

use std::time::{Duration, Instant};

use super::load::{Account, Budget};

/// The whole frame must be there after this.
const WHOLE: Duration = Duration::from_secs(30);
/// And so many bytes of it for each second, once a short outage would be over.
const FLOOR: u64 = 1 << 10;
const GRACE: Duration = Duration::from_secs(10);

/// Incomplete frames up to that are not counted towards the memory of the node. Between two nodes of ours larger
/// payloads travel in pieces.
const SMALL: u64 = 256 << 10;

/// The incomplete frame at the end of what was read.
pub(super) struct Progress {
    began: Option<Began>,
    /// Its memory.
    held: Account,
}

struct Began {
    at: Instant,
    bytes: u64,
}

impl Progress {
    pub(super) fn new(budget: Budget) -> Self {
        Self { began: None, held: Account::new(budget) }
    }

    /// `len` bytes came, and every complete frame was taken. `completed` says whether there was one, and
    /// `incomplete` whether another has begun.
    pub(super) fn read(&mut self, now: Instant, len: usize, completed: bool, incomplete: bool) {
        let bytes = len as u64;
        match &mut self.began {
            _ if !incomplete => self.began = None,
            Some(began) if !completed => began.bytes += bytes,
            _ => self.began = Some(Began { at: now, bytes }),
        }
        let held = self.began.as_ref().map_or(0, |began| began.bytes);
        self.held.clear();
        if held > SMALL {
            self.held.add(usize::try_from(held).unwrap_or(usize::MAX));
        }
    }

    /// Whether a large frame is coming in while the queues of the node hold as much as they may (L13).
    pub(super) fn is_too_much(&self) -> bool {
        self.held.load().bytes > 0 && self.held.is_spent()
    }

    /// When more must have come, if a frame has begun.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let Began { at, bytes } = self.began.as_ref()?;
        Some(*at + WHOLE.min(GRACE + Duration::from_secs(bytes / FLOOR)))
    }
}

/// What a peer is told whose frame does not come along.
pub(super) fn too_slow() -> String {
    format!("a frame was not complete within {WHOLE:?}, or came with less than {FLOOR} bytes a second")
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn l08_a_frame_has_a_deadline_that_bytes_put_off_and_silence_between_frames_has_none() {
        let (mut progress, start) = (Progress::new(Budget::new(usize::MAX)), Instant::now());
        assert_eq!(progress.deadline(), None);
        progress.read(start, 1, false, true);
        assert_eq!(progress.deadline(), Some(start + 10 * S));
        progress.read(start + 9 * S, 5 << 10, false, true);
        assert_eq!(progress.deadline(), Some(start + 15 * S));
        progress.read(start + 14 * S, 1 << 20, false, true);
        assert_eq!(progress.deadline(), Some(start + 30 * S), "however fast");
        progress.read(start + 20 * S, 10, true, true);
        assert_eq!(progress.deadline(), Some(start + 30 * S), "another frame has begun");
        progress.read(start + 21 * S, 10, true, false);
        assert_eq!(progress.deadline(), None);
    }

    #[test]
    fn l13_frames_that_are_coming_in_count_towards_the_memory_of_the_node() {
        let (budget, now) = (Budget::new(3 << 20), Instant::now());
        let mut all: Vec<_> = (0..3).map(|_| Progress::new(budget.clone())).collect();
        for progress in &mut all {
            (0..15).for_each(|_| progress.read(now, 64 << 10, false, true));
            assert!(!progress.is_too_much());
        }
        all.iter_mut().for_each(|progress| progress.read(now, 64 << 10, false, true));
        assert!(all.iter().all(Progress::is_too_much));
        all[0].read(now, 10, true, false);
        assert!(!all[0].is_too_much() && !all[1].is_too_much());
        drop(all);
        assert_eq!(budget.used(), 0);
    }
}
