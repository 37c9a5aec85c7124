//! What a path does to packets.

use std::time::Duration;

/// The properties of one direction between two hosts. Plain data; shares are between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// From the moment a packet leaves to the moment it arrives, without the queue.
    pub delay: Duration,
    /// Added to or taken from the delay, evenly. It changes no order, as on a real path.
    pub jitter: Duration,
    /// The share of packets that are lost, each for itself.
    pub loss: f64,
    /// Only packets that have at least and at most so many bytes, from the IP header on, can be lost by chance; `None` for all.
    pub lost_sizes: Option<(usize, usize)>,
    /// The share of packets that arrive twice.
    pub duplicate: f64,
    /// The share of packets that are held back by [`HELD_BACK`], so that later ones overtake them.
    pub reorder: f64,
    /// The rate of the bottleneck; `None` for one that is never busy.
    pub bits_per_second: Option<u64>,
    /// What may wait at the bottleneck; a packet that finds no room is lost.
    pub queue_bytes: usize,
}

/// By how much a reordered packet is late.
pub const HELD_BACK: Duration = Duration::from_millis(20);

impl Conditions {
    /// A cable: nothing is late and nothing is lost.
    pub const PERFECT: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        lost_sizes: None,
        duplicate: 0.0,
        reorder: 0.0,
        bits_per_second: None,
        queue_bytes: 256 << 10,
    };

    /// One direction of a path with this round trip, and nothing else wrong with it.
    pub const fn round_trip(millis: u64) -> Self {
        Self { delay: Duration::from_micros(millis * 500), ..Self::PERFECT }
    }

    /// The same with this share of packets lost.
    #[must_use]
    pub const fn with_loss(self, loss: f64) -> Self {
        Self { loss, ..self }
    }

    /// The same with a bottleneck of `megabits` a second and a queue of `queue_bytes` before it.
    #[must_use]
    pub const fn with_rate(self, megabits: u64, queue_bytes: usize) -> Self {
        Self { bits_per_second: Some(megabits * 1_000_000), queue_bytes, ..self }
    }
}
