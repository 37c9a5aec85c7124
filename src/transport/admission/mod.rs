//! Who may begin a handshake at a listener that has to prove who its peers are (L05), for transports to share.
//!
//! A handshake costs the listener more than whoever begins it, so those of *strangers* have bounds: how often they
//! may begin ([`Rates`]) and how many may be under way ([`Strangers`]), of one address and all together. An
//! address from which somebody is connected who has proved to be a node is none of a stranger: nodes open
//! several connections at once, and several may share an address. The programs of this machine are no strangers
//! either.

mod places;
mod rates;

pub use places::{HalfOpen, Known, Strangers, Turned};
pub use rates::Rates;
