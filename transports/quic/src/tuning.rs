//! The numbers that fit the distance of a peer.

use std::str::FromStr;
use std::time::Duration;

use myrmidon::transport::Profile;

/// Quinn sends up to ten segments in one call, and a UDP call ends at 65 507 bytes without an error
/// that anyone sees. A tenth of it is the largest packet that always gets through.
const LOOPBACK_PACKET: u16 = 6500;

/// What the connections of one profile use. Plain data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Lanes that a peer may have open at once (L15).
    pub lanes: u32,
    /// Bytes that a peer may have sent on one lane and we have not read yet (L15). The connection's
    /// window, both ways, has room for all lanes and 2 MiB more.
    pub lane_window: u32,
    /// From the first packet until both certificates are verified (L04).
    pub handshake_timeout: Duration,
    /// A connection without any packet for this long is lost. The node's own heartbeats come first.
    pub idle_timeout: Duration,
    /// An idle connection is kept open with a packet this often.
    pub keep_alive: Duration,
    /// The first guess of the round trip.
    pub round_trip: Duration,
    /// Who decides how much may be under way.
    pub congestion: Congestion,
    /// What may be under way at first, in bytes.
    pub initial_window: u64,
    /// The size of packets from the first one on, in bytes; `None` begins with 1200 and finds out what an
    /// Ethernet path takes. Above 6 550 batches of packets are lost without an error.
    pub packet: Option<u16>,
    /// Whether a peer may go on from another address, as when a router forgets it; else it connects anew.
    pub migration: bool,
}

/// Who decides how much may be under way on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Congestion {
    /// As TCP usually does.
    #[default]
    Cubic,
    /// As TCP used to.
    NewReno,
    /// By measured bandwidth and round trip, so that what the path loses by chance does not slow it;
    /// experimental in quinn.
    Bbr,
}

impl Congestion {
    const ALL: [Self; 3] = [Self::Cubic, Self::NewReno, Self::Bbr];

    /// The name in settings: "cubic", "newreno" or "bbr".
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::NewReno => "newreno",
            Self::Bbr => "bbr",
        }
    }
}

impl FromStr for Congestion {
    type Err = UnknownCongestion;

    /// # Errors
    /// If `name` is not the [`name`](Self::name) of one.
    fn from_str(name: &str) -> Result<Self, UnknownCongestion> {
        let known = Self::ALL.into_iter().find(|congestion| congestion.name() == name);
        known.ok_or_else(|| UnknownCongestion(name.to_owned()))
    }
}

/// A name that is no congestion control of QUIC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no congestion control {0:?}: use \"cubic\", \"newreno\" or \"bbr\"")]
pub struct UnknownCongestion(pub String);

impl Tuning {
    /// The defaults of a profile.
    pub fn of(profile: Profile) -> Self {
        match profile {
            Profile::Loopback => Self {
                // A busy core keeps a packet for longer than the way takes.
                round_trip: Duration::from_millis(5),
                // What has left is in front of a ping; here that is time of the cores, and not of the path.
                lane_window: 512 << 10,
                initial_window: 256 << 10,
                packet: Some(LOOPBACK_PACKET),
                ..Self::of(Profile::Lan)
            },
            Profile::Lan => Self {
                lanes: 64,
                lane_window: 1 << 20,
                handshake_timeout: Duration::from_secs(5),
                idle_timeout: Duration::from_secs(10),
                keep_alive: Duration::from_secs(3),
                round_trip: Duration::from_millis(10),
                congestion: Congestion::Cubic,
                initial_window: 128 << 10,
                packet: None,
                migration: false,
            },
            // A lane's window holds what 1 Gbit/s has under way in 100 ms. A link has at most 18 lanes.
            Profile::Wan => Self {
                lanes: 20,
                lane_window: 16 << 20,
                handshake_timeout: Duration::from_secs(10),
                idle_timeout: Duration::from_secs(30),
                keep_alive: Duration::from_secs(10),
                round_trip: Duration::from_millis(100),
                migration: true,
                ..Self::of(Profile::Lan)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_congestion_control_is_found_by_its_name() {
        for congestion in Congestion::ALL {
            assert_eq!(congestion.name().parse(), Ok(congestion));
        }
        let error = "reno".parse::<Congestion>().unwrap_err();
        assert!(error.to_string().contains("newreno"), "{error}");
    }
}
