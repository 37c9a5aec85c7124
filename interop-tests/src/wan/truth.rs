//! What the router knows and the nodes do not: which pings lost nothing on their way.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What lies between the moment at which a packet is handed to the system and that at which the router has it.
const STRAY: u64 = 1_000;

/// When packets were lost in either direction, in microseconds since the epoch.
pub(super) struct Losses {
    there: Vec<u64>,
    back: Vec<u64>,
}

impl Losses {
    pub(super) fn new(there: &[Instant], back: &[Instant]) -> Self {
        let (now, since) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        let micros = |at: &Instant| {
            let ago = now.saturating_duration_since(*at);
            u64::try_from(since.saturating_sub(ago).as_micros()).unwrap_or(u64::MAX)
        };
        Self { there: there.iter().map(micros).collect(), back: back.iter().map(micros).collect() }
    }

    /// How long those of these pings took, in microseconds, of which it is certain that neither they nor their answers were
    /// in a lost packet. A ping that was asked for at `begun` and took `took` has left before `begun + took - round_trip`,
    /// and its answer between half a round trip later and half a round trip before the end: nothing was lost then.
    pub(super) fn unharmed(&self, trips: &[(u64, u64)], round_trip: Duration) -> Vec<u32> {
        let round_trip = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
        let is_unharmed = |&&(begun, took): &&(u64, u64)| {
            let late = took.saturating_sub(round_trip) + STRAY;
            let answered = begun + round_trip / 2;
            !lost_between(&self.there, begun.saturating_sub(STRAY), begun + late)
                && !lost_between(&self.back, answered.saturating_sub(STRAY), answered + late)
        };
        let unharmed = trips.iter().filter(is_unharmed);
        unharmed.map(|(_, took)| u32::try_from(*took).unwrap_or(u32::MAX)).collect()
    }
}

fn lost_between(lost: &[u64], first: u64, last: u64) -> bool {
    lost.iter().any(|at| (first..=last).contains(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_is_unharmed_if_nothing_was_lost_while_it_or_its_answer_can_have_left() {
        let begun = 1_000_000;
        let trip = Duration::from_millis(50);
        let is_unharmed = |there: &[u64], back: &[u64], took| {
            let losses = Losses { there: there.to_vec(), back: back.to_vec() };
            !losses.unharmed(&[(begun, took)], trip).is_empty()
        };
        assert!(is_unharmed(&[], &[], 52_000));
        assert!(!is_unharmed(&[begun + 2_500], &[], 52_000), "it may have been in that packet");
        assert!(is_unharmed(&[begun + 3_500], &[], 52_000), "it would have come later");
        assert!(!is_unharmed(&[begun + 3_500], &[], 60_000));
        assert!(!is_unharmed(&[], &[begun + 26_000], 52_000));
        assert!(is_unharmed(&[], &[begun + 2_500, begun + 30_000], 52_000));
    }

    #[test]
    fn losses_keep_their_distance_from_now() {
        let earlier = Instant::now().checked_sub(Duration::from_secs(5)).expect("five seconds ago");
        let losses = Losses::new(&[earlier], &[Instant::now()]);
        let apart = losses.back[0] - losses.there[0];
        assert!((4_900_000..60_000_000).contains(&apart), "{apart}");
    }
}
