//! The bytes of the mesh, without any I/O: frames in, frames out.
//!
//! [`Decoder`] is what an acceptor reads with, [`Batch`] what both sides write with, and [`Answers`]
//! how a dialler knows what the bytes that come back mean.
//!
#![doc = include_str!("PROTOCOL.md")]

mod answers;
mod body;
mod close_code;
mod codec;
mod encoder;
mod frame;
pub mod level2;
mod limits;
mod opcode;

pub use answers::{Answer, AnswerError, Answers, Asked};
pub use close_code::CloseCode;
pub use codec::{DecodeError, Decoder};
pub use encoder::Batch;
pub(crate) use encoder::put_message;
pub use frame::{Frame, Name};
pub use limits::{COPY_BELOW, Limits, MAX_NAME, MAX_NAME_FRAME, STEP};
pub use opcode::Opcode;
