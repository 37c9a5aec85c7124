//! Configuration, and the socket options it leads to.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Probes of an idle connection before it is given up.
const PROBES: u32 = 5;

/// How the TCP transport behaves.
#[derive(Clone, Debug)]
pub struct TcpConfig {
    /// Bind and dial beyond loopback, though nothing is encrypted and nobody is authenticated.
    /// Default: false, which refuses both (D10).
    pub allow_insecure_remote: bool,
    /// Written data that is not acknowledged for so long breaks the connection (`TCP_USER_TIMEOUT`,
    /// Linux). Default: 5 s, the `down` time of a node.
    pub down_after: Duration,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self { allow_insecure_remote: false, down_after: Duration::from_secs(5) }
    }
}

impl TcpConfig {
    /// No Nagle delay; an idle connection is probed five times within `down_after`, and given up when no
    /// probe was answered (the kernel's own values take hours).
    ///
    /// With a user timeout Linux does not count probes: it gives a connection up as soon as nothing has
    /// come for so long and one probe is unanswered. A first probe after `down_after` would be the only
    /// one, and its loss, or that of its answer, the end.
    pub(crate) fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        let Self { allow_insecure_remote: _, down_after } = self;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        // The kernel takes whole seconds, at least one.
        let probe = (*down_after / PROBES).max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(probe);
        #[cfg(not(target_os = "openbsd"))]
        let keepalive = keepalive.with_interval(probe);
        #[cfg(not(any(target_os = "openbsd", target_os = "windows")))]
        let keepalive = keepalive.with_retries(PROBES);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(*down_after))?;
        #[cfg(not(target_os = "linux"))]
        let _ = down_after;
        Ok(())
    }
}
