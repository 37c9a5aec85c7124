//! The handshake of an accepted socket, which nobody else waits for.

use std::sync::Arc;

use myrmidon::transport::TransportError;
use myrmidon::transport::admission::HalfOpen;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::connection::First;
use crate::link::Link;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::{Proof, Tls};

/// How far a handshake is. It changes once.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Shaking,
    /// What was proved; nothing, without TLS.
    Done(Option<Proof>),
    Failed(TransportError),
}

/// Shakes hands in a task of its own, and puts the socket into `first` when it is done.
pub(crate) fn shake(
    stream: TcpStream,
    tls: Arc<Tls>,
    place: Option<HalfOpen>,
    first: Arc<First>,
    link: Arc<Link>,
) -> (watch::Receiver<State>, AbortHandle) {
    let (done, state) = watch::channel(State::Shaking);
    let task = tokio::spawn(async move {
        let end = match tls.accept(stream).await {
            Ok((stream, proof)) => {
                place.into_iter().for_each(|place| link.keep(place.proved()));
                first.put(Socket::new(Stream::Tls(Box::new(stream)), link));
                State::Done(Some(proof))
            }
            Err(reason) => {
                let failure = TransportError::Handshake { addr: link.peer.clone(), reason };
                link.socket_over(failure.clone());
                State::Failed(failure)
            }
        };
        done.send_replace(end);
    });
    (state, task.abort_handle())
}
