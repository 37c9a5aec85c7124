//! What must hold between processes, by subject. Each scenario starts its own nodes and panics with
//! a reason when something is not as promised.

pub mod failing;
pub mod healing;
pub mod legacy;
pub mod malformed;
pub mod messaging;
pub mod swapping;
#[cfg(target_os = "linux")]
pub mod wan;
