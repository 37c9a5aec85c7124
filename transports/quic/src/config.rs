//! The settings of a QUIC transport, and what they mean to quinn.

use std::net::IpAddr;
use std::sync::Arc;

use myrmidon::transport::{Level, Profile};
use myrmidon_certs::Credentials;
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn::{IdleTimeout, MtuDiscoveryConfig, TransportConfig, VarInt};

use crate::{Congestion, Tuning};

/// What a transport is made with. Plain data: set the fields before the transport is made.
#[derive(Clone, Debug)]
pub struct QuicConfig {
    /// Who we are, and whom we trust.
    pub credentials: Credentials,
    /// The highest level of the protocol that is offered; level 1 is always offered too, after it.
    /// Default: [`Level::Two`].
    pub level: Level,
    /// Which tuning connections get. Default: `None`, which chooses by the address of each peer
    /// ([`Profile::of`]).
    pub profile: Option<Profile>,
    /// For peers on this machine.
    pub loopback: Tuning,
    /// For peers on the local network.
    pub lan: Tuning,
    /// For peers elsewhere.
    pub wan: Tuning,
}

impl QuicConfig {
    /// The default tunings, chosen by address.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            level: Level::Two,
            profile: None,
            loopback: Tuning::of(Profile::Loopback),
            lan: Tuning::of(Profile::Lan),
            wan: Tuning::of(Profile::Wan),
        }
    }

    /// The same with this congestion control at every distance.
    #[must_use]
    pub fn with_congestion(mut self, congestion: Congestion) -> Self {
        for tuning in [&mut self.loopback, &mut self.lan, &mut self.wan] {
            tuning.congestion = congestion;
        }
        self
    }

    /// The profile of connections with a peer at `ip`.
    pub fn profile_of(&self, ip: IpAddr) -> Profile {
        self.profile.unwrap_or_else(|| Profile::of(ip))
    }

    /// The tuning of a profile.
    pub fn tuning(&self, profile: Profile) -> &Tuning {
        match profile {
            Profile::Loopback => &self.loopback,
            Profile::Lan => &self.lan,
            Profile::Wan => &self.wan,
        }
    }

    /// The largest packet that an endpoint bound to `ip` takes; `None` for quinn's own limit. It also sizes
    /// quinn's receive buffer, so only an endpoint to which large packets come pays for them.
    pub(crate) fn largest_packet(&self, ip: IpAddr) -> Option<u16> {
        let from_here = ip.is_unspecified() || ip.to_canonical().is_loopback();
        let profiles = match self.profile {
            Some(profile) => vec![profile],
            None if from_here => vec![Profile::Loopback, Profile::Lan, Profile::Wan],
            None => vec![Profile::Lan, Profile::Wan],
        };
        profiles.into_iter().filter_map(|profile| self.tuning(profile).packet).max()
    }
}

impl Tuning {
    /// The quinn settings.
    pub(crate) fn transport(&self) -> Arc<TransportConfig> {
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
            .keep_alive_interval(Some(self.keep_alive))
            .initial_rtt(self.round_trip)
            .congestion_controller_factory(self.controller());
        if let Some(packet) = self.packet {
            let mut discovery = MtuDiscoveryConfig::default();
            discovery.upper_bound(packet);
            transport.initial_mtu(packet).mtu_discovery_config(Some(discovery));
        }
        Arc::new(transport)
    }

    /// Room for every lane at its limit and more, so that lanes nobody reads never use up what a
    /// heartbeat needs. Quinn checks this bound before priorities.
    fn window(&self) -> u64 {
        const RESERVE: u64 = 2 << 20;
        u64::from(self.lanes) * u64::from(self.lane_window) + RESERVE
    }

    fn controller(&self) -> Arc<dyn ControllerFactory + Send + Sync> {
        match self.congestion {
            Congestion::Cubic => {
                let mut cubic = CubicConfig::default();
                cubic.initial_window(self.initial_window);
                Arc::new(cubic)
            }
            Congestion::NewReno => {
                let mut reno = NewRenoConfig::default();
                reno.initial_window(self.initial_window);
                Arc::new(reno)
            }
            Congestion::Bbr => {
                let mut bbr = BbrConfig::default();
                bbr.initial_window(self.initial_window);
                Arc::new(bbr)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(dir: &std::path::Path) -> QuicConfig {
        QuicConfig::new(Credentials::loopback_in(&dir.join("loopback")).unwrap())
    }

    #[test]
    fn a_profile_follows_the_address_unless_it_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let of = |config: &QuicConfig, ip: &str| config.profile_of(ip.parse().unwrap());
        assert_eq!(of(&config, "127.0.0.1"), Profile::Loopback);
        assert_eq!(of(&config, "10.1.2.3"), Profile::Lan);
        assert_eq!(of(&config, "203.0.113.7"), Profile::Wan);
        config.profile = Some(Profile::Wan);
        assert_eq!(of(&config, "127.0.0.1"), Profile::Wan);
    }

    #[test]
    fn only_endpoints_that_this_machine_can_reach_take_large_packets() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        let largest = |config: &QuicConfig, ip: &str| config.largest_packet(ip.parse().unwrap());
        assert_eq!(largest(&config, "127.0.0.1"), Some(6500));
        assert_eq!(largest(&config, "0.0.0.0"), Some(6500));
        assert_eq!(largest(&config, "10.1.2.3"), None);
        config.profile = Some(Profile::Lan);
        assert_eq!(largest(&config, "127.0.0.1"), None);
        config.lan.packet = Some(3000);
        assert_eq!(largest(&config, "10.1.2.3"), Some(3000));
    }

    #[test]
    fn l15_lanes_that_nobody_reads_leave_room_in_every_profile() {
        for profile in [Profile::Loopback, Profile::Lan, Profile::Wan] {
            let tuning = Tuning::of(profile);
            let lanes = u64::from(tuning.lanes) * u64::from(tuning.lane_window);
            assert!(tuning.window() >= lanes + (1 << 20), "{profile:?}");
            assert!(tuning.keep_alive * 2 < tuning.idle_timeout, "{profile:?}");
        }
    }
}
