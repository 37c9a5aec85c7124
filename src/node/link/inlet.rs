//! What the frames of one lane do.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::brakes::Came;
use super::bulk::REPLY;
use super::inquiries::Inquiry;
use super::payload::Part;
use super::{End, Link, lock, reason};
use crate::node::progress::{Progress, Rest};
use crate::node::shared::now;
use crate::pid::Pid;
use crate::transport::{CloseCode, LaneClass, LaneReceiver, TransportError};
use crate::wire::STEP;
use crate::wire::level2::{Ask, Chunk, Decoder, Frame, Xoff, Xon};

/// What is read of the bulk lane where the head of a CHUNK comes next: what is more than that has to be copied to
/// where it belongs.
const HEADS: usize = 4 << 10;

pub(super) struct Inlet {
    link: Arc<Link>,
    lane: usize,
    /// Large payloads come here.
    is_bulk: bool,
    decoder: Decoder,
    /// Messages decoded and not delivered yet.
    inbound: Vec<(Pid, Bytes)>,
    /// Whom they go to, with the length of the last one and all of them; empty between two deliveries.
    receivers: Vec<(Pid, usize, Came)>,
    messages: u64,
    bytes: u64,
    pub(super) progress: Progress,
    /// Bytes of the last read.
    read: usize,
    /// A payload with those bytes at its end.
    lent: Option<BytesMut>,
}

impl Inlet {
    pub(super) fn new(link: Arc<Link>, lane: usize, decoder: Decoder) -> Self {
        let progress = Progress::new(link.shared.budget.clone());
        let is_bulk = link.out().class_of(lane) == LaneClass::Bulk;
        Self {
            link,
            lane,
            is_bulk,
            decoder,
            inbound: Vec::new(),
            receivers: Vec::new(),
            messages: 0,
            bytes: 0,
            progress,
            read: 0,
            lent: None,
        }
    }

    /// Reads what comes next, the data of large payloads to where it belongs; how many bytes, 0 at the end of the lane.
    /// May only be dropped with the inlet.
    pub(super) async fn read(&mut self, receiver: &mut dyn LaneReceiver) -> Result<usize, TransportError> {
        self.read = 0;
        if let Some((chunk, missing)) = self.decoder.awaited()
            && let Some(mut payload) = self.link.parking.lend(chunk)
        {
            let room = payload.capacity() - payload.len();
            self.read = receiver.read_into(&mut payload, room.min(missing)).await?;
            self.lent = Some(payload);
            return Ok(self.read);
        }
        let most = if self.is_bulk && !self.decoder.mid_frame() { HEADS } else { STEP };
        if let Some(bytes) = receiver.read(most).await? {
            self.read = bytes.len();
            self.decoder.feed(bytes);
        }
        Ok(self.read)
    }

    /// Handles every complete frame. Whatever was decoded has taken effect before this waits for
    /// anything, so it may be dropped at any point.
    pub(super) async fn handle(&mut self) -> Result<(), End> {
        let mut complete = false;
        if let Some(payload) = self.lent.take()
            && let Some(chunk) = self.decoder.passed(self.read)
        {
            self.chunk(&chunk, Part::Read(payload, self.read)).await?;
            complete = !self.decoder.mid_frame();
        }
        loop {
            complete |= self.messages();
            if let Some(piece) = self.decoder.next_piece() {
                complete |= !self.decoder.is_mid_data();
                self.frame(Frame::Chunk(piece)).await?;
                continue;
            }
            let next = self.decoder.next_frame().map_err(|e| End::Refused(e.code(), e.to_string()))?;
            let Some(frame) = next else { break };
            complete = true;
            self.frame(frame).await?;
        }
        self.settle()?;
        let rest =
            if self.decoder.is_mid_data() { Rest::Taken } else { Rest::part(self.decoder.mid_frame()) };
        self.progress.read(now(), self.read, complete, rest);
        if self.progress.is_too_much() { Err(End::overloaded()) } else { Ok(()) }
    }

    /// Takes the messages that come next, as long as none of them has to wait for a large payload.
    fn messages(&mut self) -> bool {
        let before = self.messages;
        while self.link.parking.is_empty()
            && let Some((to, data)) = self.decoder.next_message()
        {
            self.count(data.len());
            self.message(to, data);
        }
        self.messages > before
    }

    fn message(&mut self, to: Option<Pid>, data: Bytes) {
        match to {
            Some(pid) => self.inbound.push((pid, data)),
            None => tracing::debug!("a message for PID 0 is a dead letter"),
        }
    }

    async fn frame(&mut self, frame: Frame) -> Result<(), End> {
        if let Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) = &frame {
            self.count(data.len());
        }
        if !self.link.agreed.allows(&frame) {
            return Err(unexpected(&frame));
        }
        let (to, is_bulk) = (frame.to(), matches!(frame, Frame::Bulk(_)));
        let came = came(&frame);
        let Some(frame) = self.link.parking.park(frame)? else {
            if is_bulk {
                self.count(0);
            }
            self.came(to, came)?;
            to.into_iter().for_each(|to| self.link.brakes.parked(&self.link, to));
            return Ok(());
        };
        if let Frame::Message { to, data } = frame {
            // Counted when it is delivered.
            self.message(to, data);
            return Ok(());
        }
        self.settle()?;
        self.came(to, came)?;
        match frame {
            Frame::Ping => self.link.inquired(Inquiry::Ping)?,
            Frame::Resolve(frame) => self.link.inquired(Inquiry::Resolve(frame))?,
            Frame::Info(frame) => self.link.inquired(Inquiry::Info(frame))?,
            Frame::Goaway(frame) => self.link.goaway(self.lane, &frame)?,
            Frame::Bulk(frame) => {
                let (link, max) = (&self.link, self.max_message());
                link.parking.announce(&frame, max, &mut |frame| apply(link, frame))?;
                // Its bytes count as they come, and it not before it is known to be outstanding: else a
                // CREDIT could confirm it.
                self.count(0);
            }
            Frame::Chunk(mut frame) => {
                let data = Part::Came(std::mem::take(&mut frame.data));
                self.chunk(&frame, data).await?;
            }
            Frame::BulkCancel(frame) => {
                let (link, max) = (&self.link, self.max_message());
                link.parking.cancel(frame.bulk, max, &mut |frame| apply(link, frame))?;
            }
            frame => apply(&self.link, frame)?,
        }
        Ok(())
    }

    /// Whether the peer spares whom it was asked to.
    fn came(&self, to: Option<Pid>, came: Option<Came>) -> Result<(), End> {
        match (to, came) {
            (Some(to), Some(came)) => self.link.brakes.came(to, came),
            _ => Ok(()),
        }
    }

    const fn count(&mut self, len: usize) {
        self.messages += 1;
        self.bytes += len as u64;
    }

    async fn chunk(&mut self, chunk: &Chunk, part: Part) -> Result<(), End> {
        let (link, slots) = (&self.link, usize::from(self.link.agreed.bulk_slots));
        let len = part.len() as u64;
        link.parking.chunk(chunk, part, slots, self.max_message(), &mut |frame| apply(link, frame))?;
        link.received(0, len)?;
        // Whatever is complete was announced before; that will be read in a moment.
        while link.parking.early() > slots {
            link.parking.announced.notified().await;
        }
        Ok(())
    }

    fn max_message(&self) -> u64 {
        self.link.shared.config.max_accepted_payload as u64
    }

    /// Delivers what came.
    fn settle(&mut self) -> Result<(), End> {
        if !self.inbound.is_empty() {
            let lengths = self.inbound.iter().map(|(pid, data)| (*pid, data.len()));
            for (pid, len) in lengths {
                if self.receivers.last().is_none_or(|last| last.0 != pid) {
                    self.receivers.push((pid, len, Came::default()));
                }
                if let Some((_, last, came)) = self.receivers.last_mut() {
                    *last = len;
                    came.messages += 1;
                    came.bytes += len as u64;
                }
            }
            self.link.shared.local.deliver(&mut self.inbound);
            self.inbound.clear();
            for (pid, len, came) in self.receivers.drain(..) {
                self.link.brakes.came(pid, came)?;
                self.link.brakes.delivered(&self.link, pid, len);
            }
        }
        if self.messages > 0 {
            let (messages, bytes) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.bytes));
            self.link.received(messages, bytes)?;
        }
        Ok(())
    }
}

/// What a frame does, wherever it was held up.
fn apply(link: &Arc<Link>, frame: Frame) -> Result<(), End> {
    if let Frame::Demonitor(_) | Frame::Link(_) | Frame::Unlink(_) | Frame::Exit(_) = &frame
        && let Some(to) = frame.to()
    {
        link.brakes.signals(link, to)?;
    }
    match frame {
        Frame::Message { to, data } => {
            let len = data.len();
            link.shared.local.deliver(&mut to.map(|pid| (pid, data)).into_iter().collect());
            to.into_iter().for_each(|pid| link.brakes.delivered(link, pid, len));
        }
        Frame::Pong => link.pong(),
        Frame::Drained(frame) => link.drained(frame.received),
        Frame::Credit(frame) => link.credit(&frame),
        Frame::Resolved(frame) => lock(&link.questions).answer(frame.rid, frame.pid),
        Frame::Ask(frame) => link.serve(frame),
        Frame::Reply(frame) => link.replied(frame),
        Frame::Error(frame) => link.refused(&frame),
        Frame::Monitor(frame) => link.guests.watch(link, frame)?,
        Frame::Demonitor(frame) => link.guests.unwatch(link.shared.local.as_ref(), frame.id),
        Frame::Down(frame) => {
            if !link.down(&frame) {
                let why = reason::from_wire(frame.reason, frame.text.as_str());
                link.for_users(|peer| peer.watch.ended(frame.id, &why));
            }
        }
        Frame::Link(frame) => link.linked(&frame),
        Frame::Unlink(frame) => link.unlinked(&frame),
        Frame::UnlinkAck(frame) => link.acknowledged(&frame),
        Frame::Exit(frame) => link.exited(&frame),
        Frame::Xoff(Xoff { pid: Some(pid) }) => {
            if !link.out().hold(pid) {
                let reason = "more actors are to be spared than a node has to remember".to_owned();
                return Err(End::Refused(CloseCode::Overloaded, reason));
            }
        }
        Frame::Xon(Xon { pid: Some(pid) }) => link.release(pid),
        Frame::Xoff(_) | Frame::Xon(_) => {}
        other => return Err(unexpected(&other)),
    }
    Ok(())
}

/// What a frame brings for its receiver, if it brings a message.
fn came(frame: &Frame) -> Option<Came> {
    let small = |bytes: usize| Came { messages: 1, bytes: bytes as u64, announced: 0 };
    match frame {
        Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => Some(small(data.len())),
        Frame::Bulk(bulk) if bulk.kind != REPLY => Some(Came { announced: bulk.total, ..small(0) }),
        _ => None,
    }
}

/// A frame of the handshake, or of a feature that was not agreed on.
fn unexpected(frame: &Frame) -> End {
    let text = format!("{frame:?}");
    let name = text.split(['(', ' ']).next().unwrap_or_default();
    let code = match frame {
        Frame::Hello(_) | Frame::HelloAck(_) | Frame::Lane(_) | Frame::LaneOk(_) | Frame::Ready(_) => {
            CloseCode::Malformed
        }
        _ => CloseCode::UnknownType,
    };
    End::Refused(code, format!("a frame {name} that was not agreed on"))
}
