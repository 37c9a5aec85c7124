//! Whether anybody holds a UDP port of this machine.
//!
//! Quinn's sockets serve many peers, so the system cannot tell it which of them is not there, and a
//! dial to a dead node would last until its deadline. A socket that is connected to one port is told.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

/// No QUIC packet begins so: whoever is there drops it.
const KNOCK: [u8; 1] = [0];
/// From one knock to the next, since the other process may end meanwhile.
const PAUSE: Duration = Duration::from_millis(200);

/// Ends when the system says that nobody listens on `target`, a loopback address; never for any
/// other address, where such a message could come from anybody.
pub(crate) async fn refused(target: SocketAddr) {
    if target.ip().is_loopback() && knock_until_refused(target).await.is_ok() {
        return;
    }
    std::future::pending().await
}

/// An error means that nothing can be learned in this way.
async fn knock_until_refused(target: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(SocketAddr::new(target.ip(), 0)).await?;
    socket.connect(target).await?;
    loop {
        let knocked = tokio::time::timeout(PAUSE, knock(&socket)).await;
        match knocked {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(()),
            Ok(Err(error)) => return Err(error),
            // Something answers, though not in QUIC: the handshake will tell.
            Ok(Ok(())) => tokio::time::sleep(PAUSE).await,
            Err(_) => {}
        }
    }
}

async fn knock(socket: &UdpSocket) -> io::Result<()> {
    socket.send(&KNOCK).await?;
    socket.recv(&mut [0]).await.map(drop)
}
