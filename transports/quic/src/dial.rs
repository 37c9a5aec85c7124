//! Dialling: every address of a name, the first answer wins.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use myrmidon::transport::{NodeAddr, TransportError};
use tokio::task::JoinSet;

use crate::connection::QuicConnection;
use crate::handshake::{self, Failure};
use crate::transport::{SCHEME, Shared};
use crate::{knock, resolve};

/// How long an address may stay silent before the next one is tried beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to `addr`. Dropping the future abandons all attempts.
pub(crate) async fn dial(shared: &Arc<Shared>, addr: &NodeAddr) -> Result<QuicConnection, TransportError> {
    let failed = |reason| TransportError::Connect { addr: addr.clone(), reason };
    let found = resolve::resolve(addr).await.map_err(failed)?;
    resolve::check_reach(&shared.config().credentials, addr, &found)?;
    let name = server_name(shared, addr)?;
    let mut tries = JoinSet::new();
    for (place, target) in (0..).zip(found) {
        let (shared, addr, name) = (shared.clone(), addr.clone(), name.clone());
        tries.spawn(async move {
            tokio::time::sleep(HEAD_START * place).await;
            one(&shared, &addr, target, &name).await
        });
    }
    first(&mut tries).await.unwrap_or_else(|| Err(failed("every attempt was cancelled".to_owned())))
}

/// The first success, else the first failure.
async fn first(
    tries: &mut JoinSet<Result<QuicConnection, TransportError>>,
) -> Option<Result<QuicConnection, TransportError>> {
    let mut failure = None;
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Ok(connection)) => return Some(Ok(connection)),
            Ok(Err(error)) => failure = failure.or(Some(Err(error))),
            // The attempts are cancelled only with the whole dial, and they do not panic.
            Err(_) => {}
        }
    }
    failure
}

/// Tries one of the addresses of `addr`.
async fn one(
    shared: &Shared,
    addr: &NodeAddr,
    target: SocketAddr,
    name: &str,
) -> Result<QuicConnection, TransportError> {
    let failed = |reason| TransportError::Connect { addr: addr.clone(), reason };
    let config = shared.config();
    let endpoint = shared.endpoints.to(target, config).map_err(|e| failed(e.to_string()))?;
    let deadline = shared.handshake_timeout(target.ip());
    let client = shared.settings(target.ip()).client.clone();
    let connecting = endpoint.connect_with(client, target, name).map_err(|e| failed(e.to_string()))?;
    let done = tokio::select! {
        biased;
        done = handshake::finish(connecting, &config.credentials, deadline) => done,
        () = knock::refused(target) => return Err(failed("nobody listens on that UDP port".to_owned())),
    };
    match done {
        Ok(verified) => Ok(QuicConnection::dialled(target, verified)),
        Err(Failure::Silent) => {
            Err(failed("no answer; does a node listen there, with the quic transport?".to_owned()))
        }
        Err(Failure::Refused(reason)) => Err(TransportError::Handshake { addr: addr.clone(), reason }),
    }
}

/// What the peer's certificate must say: the node that was named, or any node of our cluster.
fn server_name(shared: &Shared, addr: &NodeAddr) -> Result<String, TransportError> {
    match shared.config().credentials.server_name(addr.node()) {
        Ok(name) => Ok(name.to_str().into_owned()),
        Err(error) => {
            Err(TransportError::BadAddress { scheme: SCHEME, addr: addr.clone(), reason: error.to_string() })
        }
    }
}
