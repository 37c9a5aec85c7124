//! The properties, by what they are about. Each takes a [`Subject`](crate::Subject) and panics with
//! a reason when the transport does not hold it.

pub mod bytes;
pub mod ends;
pub mod lanes;
pub mod pressure;
pub mod setup;
