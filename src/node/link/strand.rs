//! One lane of a link while it is set up: whole frames out, whole frames in.

use tokio::sync::oneshot;

use crate::transport::{Lane, LaneReceiver, LaneSender};
use crate::wire::level2::{Decoder, Frame};
use crate::wire::{Batch, DecodeError, STEP};

/// A lane with its decoder.
pub(super) struct Strand {
    pub(super) sender: Box<dyn LaneSender>,
    pub(super) receiver: Box<dyn LaneReceiver>,
    pub(super) decoder: Decoder,
    /// Dropped with the strand, to tell whoever gave the lane away.
    pub(super) over: Option<oneshot::Sender<()>>,
}

/// Why a lane could not be set up.
#[derive(Debug)]
pub(super) enum Broken {
    Lane(String),
    Bytes(DecodeError),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lane(reason) => f.write_str(reason),
            Self::Bytes(error) => error.fmt(f),
        }
    }
}

impl Strand {
    /// A lane whose next bytes are frames of level 2.
    pub(super) fn new((sender, receiver): Lane, max_frame: usize) -> Self {
        Self { sender, receiver, decoder: Decoder::new(max_frame), over: None }
    }

    pub(super) async fn say(&mut self, frame: Frame) -> Result<(), Broken> {
        let mut batch = Batch::new();
        batch.frame(frame);
        self.sender.write(&mut batch.take()).await.map_err(|error| Broken::Lane(error.to_string()))
    }

    /// The next frame. Cancel-safe.
    pub(super) async fn hear(&mut self) -> Result<Frame, Broken> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(Broken::Bytes)? {
                return Ok(frame);
            }
            let read = self.receiver.read(STEP).await.map_err(|error| Broken::Lane(error.to_string()))?;
            self.decoder.feed(read.ok_or_else(|| Broken::Lane("closed by the peer".to_owned()))?);
        }
    }
}
