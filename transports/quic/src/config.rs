//! The limits of a QUIC transport, and what they mean to quinn.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use myrmidon::transport::Level;
use myrmidon_certs::Credentials;
use quinn::congestion::CubicConfig;
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

/// What every connection may use. Plain data: set the fields before the transport is made.
#[derive(Clone, Debug)]
pub struct QuicConfig {
    /// Who we are, and whom we trust.
    pub credentials: Credentials,
    /// The highest level of the protocol that is offered; level 1 is always offered too, after it.
    /// Default: [`Level::Two`].
    pub level: Level,
    /// Lanes that a peer may have open at once (L15).
    pub lanes: u32,
    /// Bytes that a peer may have sent on one lane and we have not read yet (L15).
    pub lane_window: u32,
    /// From the first packet until both certificates are verified (L04).
    pub handshake_timeout: Duration,
    /// A connection without any packet for this long is lost. The node's own heartbeats come first.
    pub idle_timeout: Duration,
    /// An idle connection is kept open with a packet this often.
    pub keep_alive: Duration,
}

impl QuicConfig {
    /// The defaults for a local network: 64 lanes of 1 MiB, handshake 5 s, idle 10 s, keep-alive 3 s.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            level: Level::Two,
            lanes: 64,
            lane_window: 1 << 20,
            handshake_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(3),
        }
    }

    /// The quinn settings for a connection with a peer at `profile`'s distance.
    pub(crate) fn transport(&self, profile: Profile) -> Arc<TransportConfig> {
        let window = self.window();
        let idle = u64::try_from(self.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(self.lanes.into())
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            .stream_receive_window(self.lane_window.into())
            .receive_window(VarInt::from_u64(window).unwrap_or(VarInt::MAX))
            .send_window(window)
            .datagram_receive_buffer_size(None)
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u64(idle).unwrap_or(VarInt::MAX))))
            .keep_alive_interval(Some(self.keep_alive));
        profile.apply(&mut transport);
        Arc::new(transport)
    }

    /// Room for every lane at its limit and more, so that lanes nobody reads never use up what a
    /// heartbeat needs. Quinn checks this bound before priorities.
    fn window(&self) -> u64 {
        const RESERVE: u64 = 2 << 20;
        u64::from(self.lanes) * u64::from(self.lane_window) + RESERVE
    }
}

/// Quinn sends up to ten segments in one call, and a UDP call ends at 65 507 bytes without an error
/// that anyone sees. A tenth of it is the largest packet that always gets through.
const LOOPBACK_PACKET: u16 = 6500;

/// How far away a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// This machine: large packets, and a first guess of the round trip that a busy core keeps.
    Loopback,
    /// Anything else: Ethernet packets, found by probing.
    Network,
}

impl Profile {
    pub(crate) fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_loopback() { Self::Loopback } else { Self::Network }
    }

    /// The largest packet that an endpoint bound to `ip` takes. It also sizes quinn's receive
    /// buffer, so only an endpoint that loopback peers can reach pays for large ones.
    pub(crate) fn max_packet(ip: IpAddr) -> Option<u16> {
        let reachable = ip.is_unspecified() || Self::of(ip) == Self::Loopback;
        reachable.then_some(LOOPBACK_PACKET)
    }

    fn apply(self, transport: &mut TransportConfig) {
        let mut congestion = CubicConfig::default();
        match self {
            Self::Loopback => {
                let mut mtu = MtuDiscoveryConfig::default();
                mtu.upper_bound(LOOPBACK_PACKET);
                congestion.initial_window(256 << 10);
                transport.initial_mtu(LOOPBACK_PACKET).mtu_discovery_config(Some(mtu));
                transport.initial_rtt(Duration::from_millis(5));
            }
            Self::Network => {
                congestion.initial_window(128 << 10);
                transport.initial_rtt(Duration::from_millis(10));
            }
        }
        transport.congestion_controller_factory(Arc::new(congestion));
    }
}
