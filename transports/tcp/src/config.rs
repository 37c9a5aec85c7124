//! Configuration, and the socket options it leads to.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

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
    /// No Nagle delay; an idle connection is probed after 5 s, then every 2 s, and given up after 3
    /// probes without an answer (the kernel's own values take hours).
    pub(crate) fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        let Self { allow_insecure_remote: _, down_after } = self;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(5));
        #[cfg(not(target_os = "openbsd"))]
        let keepalive = keepalive.with_interval(Duration::from_secs(2));
        #[cfg(not(any(target_os = "openbsd", target_os = "windows")))]
        let keepalive = keepalive.with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(*down_after))?;
        #[cfg(not(target_os = "linux"))]
        let _ = down_after;
        Ok(())
    }
}
