//! The QUIC transport: every connection is encrypted, and both ends prove who they are.
//!
//! A lane is a bidirectional stream that the dialler opens; the ALPN protocol is `myrmidon/2`, or
//! `myrmidon/1` with a peer that offers no other. Who may connect, and under which name, is decided by
//! the certificates in [`Credentials`](myrmidon_certs::Credentials); network addresses decide nothing.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use myrmidon::transport::Transport;
//! use myrmidon_certs::Credentials;
//! use myrmidon_quic::{QuicConfig, QuicTransport};
//!
//! let here_only = QuicTransport::new(QuicConfig::new(Credentials::loopback()?))?;
//! let listener = here_only.bind(&"127.0.0.1:0".parse()?).await?;
//! let cluster = QuicTransport::new(QuicConfig::new(Credentials::load("a".as_ref())?))?;
//! let connection = cluster.connect(&"b@10.0.0.2:9000".parse()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! A node that is killed and started again on the same address with the same credentials answers
//! packets of its former life with a stateless reset, so its peers learn of the restart at once and
//! not from a timeout.
#![forbid(unsafe_code)]

mod config;
mod connection;
mod dial;
mod endpoint;
mod error;
mod handshake;
mod knock;
mod lane;
mod listener;
mod resolve;
mod transport;
mod tuning;
mod under_way;

pub use config::QuicConfig;
pub use endpoint::SocketBuffers;
pub use transport::QuicTransport;
pub use tuning::{Congestion, Tuning, UnknownCongestion};
