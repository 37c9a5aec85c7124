//! Whether a frame that has begun comes along fast enough (L08), and whether a peer takes what is written (L09). Between
//! two frames a peer may be silent for as long as it likes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;

use super::load::{Account, Budget};
use crate::transport::{LaneSender, TransportError};

/// The whole frame must be there after this; of one that is taken in pieces the next piece, as its length says nothing of
/// what it costs to wait.
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
    /// When more came, if what comes is taken at once.
    piece: Option<Instant>,
    bytes: u64,
}

/// What is left at the end of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    /// A part of a frame, which waits for the rest.
    Part,
    /// A frame of which every part has taken effect and is accounted for elsewhere: the data of a CHUNK.
    Taken,
}

impl Rest {
    /// A part, if there is one.
    pub(super) const fn part(is_there: bool) -> Self {
        if is_there { Self::Part } else { Self::Nothing }
    }
}

impl Progress {
    pub(super) fn new(budget: Budget) -> Self {
        Self { began: None, held: Account::new(budget) }
    }

    /// `len` bytes came, and every complete frame was taken. `completed` says whether there was one, and
    /// `rest` what there is of another.
    pub(super) fn read(&mut self, now: Instant, len: usize, completed: bool, rest: Rest) {
        let (bytes, piece) = (len as u64, (rest == Rest::Taken).then_some(now));
        match &mut self.began {
            _ if rest == Rest::Nothing => self.began = None,
            Some(began) if !completed => {
                began.bytes += bytes;
                began.piece = piece;
            }
            _ => self.began = Some(Began { at: now, piece, bytes }),
        }
        let held = self.began.as_ref().filter(|began| began.piece.is_none()).map_or(0, |began| began.bytes);
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
        let Began { at, piece, bytes } = self.began.as_ref()?;
        let by_rate = *at + GRACE + Duration::from_secs(bytes / FLOOR);
        Some(by_rate.min(piece.unwrap_or(*at) + WHOLE))
    }
}

/// A peer that takes nothing of what is written for so long is given up.
const STALL: Duration = Duration::from_secs(30);

/// It took nothing for that long.
#[derive(Debug)]
pub(super) struct Stalled;

/// Writes all of `bufs`, however long that takes, as long as the peer takes some of it again and again.
pub(super) async fn write(
    sender: &mut dyn LaneSender,
    bufs: &mut [Bytes],
) -> Result<Result<(), TransportError>, Stalled> {
    let mut left = len(bufs);
    loop {
        if let Ok(written) = timeout(STALL, sender.write(bufs)).await {
            return Ok(written);
        }
        let still_left = len(bufs);
        if still_left == left {
            return Err(Stalled);
        }
        left = still_left;
    }
}

fn len(bufs: &[Bytes]) -> usize {
    bufs.iter().map(Bytes::len).sum()
}

impl std::fmt::Display for Stalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the peer read nothing for {STALL:?}")
    }
}

/// What a peer is told whose frame does not come along.
pub(super) fn too_slow() -> String {
    format!(
        "a frame or a piece of it was not there within {WHOLE:?}, or came with less than {FLOOR} bytes a second"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::shared::now;
    use crate::transport::memory::{MemoryNetwork, MemoryTransport};
    use crate::transport::{LaneClass, NodeAddr, Transport};

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn l08_a_frame_has_a_deadline_that_bytes_put_off_and_silence_between_frames_has_none() {
        let (mut progress, start) = (Progress::new(Budget::new(usize::MAX)), Instant::now());
        assert_eq!(progress.deadline(), None);
        progress.read(start, 1, false, Rest::Part);
        assert_eq!(progress.deadline(), Some(start + 10 * S));
        progress.read(start + 9 * S, 5 << 10, false, Rest::Part);
        assert_eq!(progress.deadline(), Some(start + 15 * S));
        progress.read(start + 14 * S, 1 << 20, false, Rest::Part);
        assert_eq!(progress.deadline(), Some(start + 30 * S), "however fast");
        progress.read(start + 20 * S, 10, true, Rest::Part);
        assert_eq!(progress.deadline(), Some(start + 30 * S), "another frame has begun");
        progress.read(start + 21 * S, 10, true, Rest::Nothing);
        assert_eq!(progress.deadline(), None);
    }

    #[test]
    fn l08_each_piece_of_a_frame_that_is_taken_in_pieces_puts_its_deadline_off() {
        let (mut progress, start) = (Progress::new(Budget::new(0)), Instant::now());
        progress.read(start, 40, false, Rest::Part);
        for second in 1..=300 {
            let now = start + second * S;
            assert!(progress.deadline() > Some(now), "1 KiB a second is enough, after {second}");
            progress.read(now, 1 << 10, false, Rest::Taken);
        }
        assert_eq!(progress.deadline(), Some(start + 310 * S), "and no less is");
        progress.read(start + 301 * S, 1 << 20, false, Rest::Taken);
        assert_eq!(progress.deadline(), Some(start + 331 * S), "nor silence after however much");
        assert!(!progress.is_too_much(), "it is accounted for elsewhere");
    }

    #[tokio::test(start_paused = true)]
    async fn l09_a_peer_that_reads_slowly_is_waited_for_and_one_that_stops_is_not() {
        let transport = MemoryTransport::new(&MemoryNetwork::new());
        let mut listener = transport.bind(&NodeAddr::new("node", 0)).await.unwrap();
        let connection = transport.connect(&listener.local_addr()).await.unwrap();
        let (mut sender, _answers) = connection.open_lane(LaneClass::Message).await.unwrap();
        let accepted = listener.accept().await.unwrap();
        let reading = tokio::spawn(async move {
            let (_answers, mut receiver) = accepted.accept_lane().await.unwrap().unwrap();
            for _ in 0..400 {
                tokio::time::sleep(S).await;
                receiver.read(1 << 10).await.unwrap();
            }
            (accepted, receiver)
        });
        let mut bufs = vec![Bytes::from(vec![7; 400 << 10])];
        let written = write(sender.as_mut(), &mut bufs).await;
        assert!(matches!(written, Ok(Ok(()))), "1 KiB a second is enough: {written:?}");
        let still_open = reading.await.unwrap();
        bufs.push(Bytes::from(vec![7; 400 << 10]));
        let since = now();
        let written = write(sender.as_mut(), &mut bufs).await;
        assert!(matches!(written, Err(Stalled)), "{written:?}");
        assert!(now() - since <= 2 * STALL, "{:?}", now() - since);
        drop(still_open);
    }

    #[test]
    fn l13_frames_that_are_coming_in_count_towards_the_memory_of_the_node() {
        let (budget, now) = (Budget::new(3 << 20), Instant::now());
        let mut all: Vec<_> = (0..3).map(|_| Progress::new(budget.clone())).collect();
        for progress in &mut all {
            (0..15).for_each(|_| progress.read(now, 64 << 10, false, Rest::Part));
            assert!(!progress.is_too_much());
        }
        all.iter_mut().for_each(|progress| progress.read(now, 64 << 10, false, Rest::Part));
        assert!(all.iter().all(Progress::is_too_much));
        all[0].read(now, 10, true, Rest::Nothing);
        assert!(!all[0].is_too_much() && !all[1].is_too_much());
        drop(all);
        assert_eq!(budget.used(), 0);
    }
}
