//! Cluster certificates: who may speak in a mesh, and what each transport needs to check it.
//!
//! A cluster is a name and the key of its certificate authority ([`Authority`]). The authority issues
//! one [`Leaf`] per node; the names in that leaf are the node's [`Identity`] (D10), and nothing that
//! a peer says about itself counts. A transport takes [`Credentials`] and gets from it two plain
//! rustls configurations: TLS 1.3 only, certificates on both sides, no resumption, no 0-RTT, and the
//! verifiers that rustls ships. The crypto provider (ring) is passed explicitly, so nothing here
//! touches the process-wide default that a host application may have set.
//!
//! This crate knows no sockets: neither quinn nor tokio nor the core.
#![forbid(unsafe_code)]

mod alert;
mod authority;
mod config;
mod credentials;
mod error;
mod identity;
mod inspect;
mod issue;
mod loopback;
mod names;
mod secret;
mod source;
mod store;

pub use alert::{explain_alert, explain_error};
pub use authority::Authority;
pub use credentials::Credentials;
pub use error::CertsError;
pub use identity::Identity;
pub use inspect::{CertificateInfo, CertificateKind};
pub use issue::{DEFAULT_TTL, Leaf};
pub use loopback::state_dir;
