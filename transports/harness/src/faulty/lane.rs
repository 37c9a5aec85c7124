//! Lanes that end with their connection's cut.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use myrmidon::transport::{CloseCode, LaneClass, LaneReceiver, LaneSender, TransportError};

use super::Fault;
use crate::noise::Noise;

pub(super) struct FaultySender {
    inner: Box<dyn LaneSender>,
    fault: Arc<Fault>,
    delay: Option<Range<Duration>>,
    noise: Noise,
}

impl FaultySender {
    pub(super) fn new(
        inner: Box<dyn LaneSender>,
        fault: Arc<Fault>,
        delay: Option<Range<Duration>>,
        noise: Noise,
    ) -> Self {
        Self { inner, fault, delay, noise }
    }

    async fn come_late(&mut self) {
        if let Some(delay) = &self.delay {
            let spread = delay.end.saturating_sub(delay.start).as_micros() as u64;
            let extra = Duration::from_micros(self.noise.below(spread));
            tokio::time::sleep(delay.start + extra).await;
        }
    }

    /// Writes the first `left` bytes, then breaks the connection.
    async fn write_and_cut(&mut self, bufs: &mut [Bytes], left: u64) -> TransportError {
        let mut first = prefix(bufs, left as usize);
        let written = self.inner.write(&mut first).await;
        self.fault.cut();
        match written {
            Ok(()) => self.fault.cut_done().await,
            Err(error) => error,
        }
    }
}

#[async_trait]
impl LaneSender for FaultySender {
    async fn write(&mut self, bufs: &mut [Bytes]) -> Result<(), TransportError> {
        self.come_late().await;
        if let Err(left) = self.fault.allow(bufs) {
            return Err(self.write_and_cut(bufs, left).await);
        }
        let fault = self.fault.clone();
        tokio::select! {
            biased;
            error = fault.cut_done() => Err(error),
            written = self.inner.write(bufs) => written,
        }
    }

    fn set_class(&mut self, class: LaneClass) {
        self.inner.set_class(class);
    }

    async fn finish(&mut self) -> Result<(), TransportError> {
        let fault = self.fault.clone();
        tokio::select! {
            biased;
            error = fault.cut_done() => Err(error),
            finished = self.inner.finish() => finished,
        }
    }

    fn reset(&mut self, code: CloseCode) {
        self.inner.reset(code);
    }
}

struct FaultyReceiver {
    inner: Box<dyn LaneReceiver>,
    fault: Arc<Fault>,
}

/// `inner`, failing once the connection is cut.
pub(super) fn guarded(inner: Box<dyn LaneReceiver>, fault: Arc<Fault>) -> Box<dyn LaneReceiver> {
    Box::new(FaultyReceiver { inner, fault })
}

#[async_trait]
impl LaneReceiver for FaultyReceiver {
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        tokio::select! {
            biased;
            error = self.fault.cut_done() => Err(error),
            piece = self.inner.read(max) => piece,
        }
    }

    async fn read_into(&mut self, into: &mut BytesMut, max: usize) -> Result<usize, TransportError> {
        tokio::select! {
            biased;
            error = self.fault.cut_done() => Err(error),
            read = self.inner.read_into(into, max) => read,
        }
    }

    fn stop(&mut self, code: CloseCode) {
        self.inner.stop(code);
    }
}

/// The first `len` bytes of `bufs`.
fn prefix(bufs: &[Bytes], mut len: usize) -> Vec<Bytes> {
    let mut first = vec![];
    for buf in bufs {
        let take = len.min(buf.len());
        first.push(buf.slice(..take));
        len -= take;
    }
    first
}
