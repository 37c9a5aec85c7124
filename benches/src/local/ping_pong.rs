//! Two actors that send one message to and fro: a ring of two.

use super::each;
use super::ring::time_ring;

pub(super) fn run(round_trips: u64) -> Result<f64, String> {
    time_ring(2, round_trips * 2).map(|begun| each(round_trips, begun))
}
