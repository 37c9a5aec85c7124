//! Configuration, and the socket options it leads to.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Probes of an idle connection before it is given up.
const PROBES: u32 = 10;

/// The congestion control on loopback, where nothing is congested: one that paces its packets (BBR) pays a timer for each
/// of them. Every Linux has this one.
#[cfg(target_os = "linux")]
const LOOPBACK_CONTROL: &[u8] = b"reno";

/// How sockets behave.
///
/// Buffer sizes are the system's business: it fits those of TCP to each connection, and stops to do so
/// once they are set.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Bind and dial beyond loopback, though nothing is encrypted and nobody is authenticated.
    /// Default: false, which refuses both (D10). With TLS the certificates decide instead.
    pub allow_insecure_remote: bool,
    /// A connection on which nothing was acknowledged for so long breaks (`TCP_USER_TIMEOUT`, Linux).
    /// Default: 40 s.
    ///
    /// It is what notices a single dead lane. That a node is silent is noticed long before, by the
    /// heartbeats of the control lane; and that a node lives but does not read is for the node to say, which
    /// it does after 30 s (L09), so this should be longer: to the kernel a peer that does not read looks
    /// dead.
    pub give_up_after: Duration,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self { allow_insecure_remote: false, give_up_after: Duration::from_secs(40) }
    }
}

impl TcpConfig {
    /// No Nagle delay; an idle connection is probed ten times within `give_up_after`, and given up when no
    /// probe was answered (the kernel's own values take hours).
    ///
    /// With a user timeout Linux does not count probes: it gives a connection up as soon as nothing has
    /// come for so long and one probe is unanswered. So there must be many in that time, or the loss of one
    /// or two packets is the end.
    pub(crate) fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        // The kernel takes whole seconds, at least one.
        let probe = (self.give_up_after / PROBES).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(probe);
        #[cfg(not(target_os = "openbsd"))]
        let keepalive = keepalive.with_interval(probe);
        #[cfg(not(any(target_os = "openbsd", target_os = "windows")))]
        let keepalive = keepalive.with_retries(PROBES);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(self.give_up_after))?;
        #[cfg(target_os = "linux")]
        if stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback()) {
            // Without it everything works.
            let _ = socket.set_tcp_congestion(LOOPBACK_CONTROL);
        }
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_of_loopback_do_not_pace() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("bind");
        let addr = listener.local_addr().expect("its address");
        let (dialled, accepted) = tokio::join!(TcpStream::connect(addr), listener.accept());
        for stream in [dialled.expect("connect"), accepted.expect("accept").0] {
            TcpConfig::default().apply(&stream).expect("the options");
            let control = SockRef::from(&stream).tcp_congestion().expect("its congestion control");
            assert!(control.starts_with(LOOPBACK_CONTROL), "{control:?}");
        }
    }
}
