//! Whether a frame that has begun comes along fast enough (L08). Between two frames a peer may be silent for
//! as long as it likes.

use std::time::{Duration, Instant};

/// The whole frame must be there after this.
const WHOLE: Duration = Duration::from_secs(30);
/// And so many bytes of it for each second, once a short outage would be over.
const FLOOR: u64 = 1 << 10;
const GRACE: Duration = Duration::from_secs(10);

/// The incomplete frame at the end of what was read.
#[derive(Default)]
pub(super) struct Progress {
    began: Option<Began>,
}

struct Began {
    at: Instant,
    bytes: u64,
}

impl Progress {
    /// `len` bytes came, and every complete frame was taken. `completed` says whether there was one, and
    /// `incomplete` whether another has begun.
    pub(super) fn read(&mut self, now: Instant, len: usize, completed: bool, incomplete: bool) {
        let bytes = len as u64;
        match &mut self.began {
            _ if !incomplete => self.began = None,
            Some(began) if !completed => began.bytes += bytes,
            _ => self.began = Some(Began { at: now, bytes }),
        }
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
        let (mut progress, start) = (Progress::default(), Instant::now());
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
}
