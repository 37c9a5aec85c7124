//! The tasks of a link: a reader and a writer for each lane, and the heartbeat.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout, timeout_at};

use super::clock::Beat;
use super::inlet::Inlet;
use super::outgoing::CONTROL;
use super::pace::{Pace, Stretch};
use super::pen::Lent;
use super::strand::Strand;
use super::{End, Link, lock};
use crate::node::error::Breakage;
use crate::node::progress;
use crate::node::shared::{Stage, now};
use crate::transport::{CloseCode, LaneReceiver, LaneSender};
use crate::wire::level2::{Decoder, Frame, Goaway, Text16};
use crate::wire::{Batch, STEP};

/// A peer that closes a link says why on control. When another lane ends first, control has so long.
const LAST_WORD: Duration = Duration::from_millis(100);
/// How long the last words of a link may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Carries the link from its first frame to its last. Strand 0 is control. `close` is called with
/// the code and the reason of the end, when everything has been said.
pub(super) async fn carry(link: Arc<Link>, strands: Vec<Strand>, close: impl FnOnce(CloseCode, &str)) {
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    let mut overs = Vec::new();
    for (lane, Strand { mut sender, receiver, decoder, over }) in strands.into_iter().enumerate() {
        let class = link.out().class_of(lane);
        sender.set_class(class);
        readers.spawn(read(link.clone(), lane, receiver, decoder));
        writers.spawn(write(link.clone(), lane, sender));
        overs.extend(over);
    }
    tokio::select! {
        biased;
        () = link.shared.at(Stage::Closed) => {
            link.end(End::Refused(CloseCode::GoingAway, "the node is shut down".to_owned()));
        }
        _ = link.ended() => {}
        () = beat(&link) => {}
        () = link.brakes.release(&link) => {}
        () = link.forget_abandoned_asks() => {}
        () = link.answer_late() => {}
    }
    let end = link.ended().await;
    // All of them stop at once, and what they have done counts before the link is buried.
    let receivers = readers.join_all().await;
    let senders = writers.join_all().await;
    link.bury();
    // The last words; what takes longer is cut off.
    let words = async {
        say_goodbye(&end, senders).await;
        drain(receivers).await;
    };
    let _ = timeout(GOODBYE, words).await;
    close(end.code(), &end.reason().to_string());
    drop(overs);
}

/// Reads until the link ends; returns its receiver, since dropping it early may destroy last words.
async fn read(
    link: Arc<Link>,
    lane: usize,
    mut receiver: Box<dyn LaneReceiver>,
    decoder: Decoder,
) -> (usize, Box<dyn LaneReceiver>) {
    let mut inlet = Inlet::new(link.clone(), lane, decoder);
    tokio::select! {
        biased;
        _ = link.ended() => {}
        end = frames(&link, lane, &mut inlet, receiver.as_mut()) => {
            match end {
                // A message lane may end once its peer has said so; control decides the rest.
                _ if lane != CONTROL && lock(&link.parting).has_ended(lane) => {}
                End::Lost(_) | End::Cut(_) if lock(&link.parting).is_done() => link.end(End::Left),
                End::Lost(_) | End::Cut(_) if lane != CONTROL => {
                    let _ = timeout(LAST_WORD, link.ended()).await;
                    link.end(end);
                }
                end => link.end(end),
            }
        }
    }
    (lane, receiver)
}

async fn frames(link: &Link, lane: usize, inlet: &mut Inlet, receiver: &mut dyn LaneReceiver) -> End {
    let mut stretch = Stretch::default();
    loop {
        if let Err(end) = inlet.handle().await {
            return end;
        }
        stretch.pause().await;
        let deadline = inlet.progress.deadline();
        let arrives = lane == CONTROL && deadline.is_some();
        let read = match deadline {
            None => inlet.read(receiver).await,
            Some(deadline) => match timeout_at(deadline.into(), inlet.read(receiver)).await {
                Ok(read) => read,
                Err(_) => return End::Refused(CloseCode::Timeout, progress::too_slow()),
            },
        };
        match read {
            Ok(len @ 1..) => stretch.moved(len),
            Ok(0) => return End::Lost(format!("lane {lane} was closed by the peer")),
            Err(error) => return Breakage::from(error).into(),
        }
        lock(&link.clock).heard(now(), arrives);
        if lane != CONTROL {
            link.hear();
        }
        link.shared.spin.touch();
    }
}

/// Writes batches until the link ends; returns its sender, unless a part of a batch was written.
async fn write(
    link: Arc<Link>,
    lane: usize,
    mut sender: Box<dyn LaneSender>,
) -> Option<(usize, Box<dyn LaneSender>)> {
    let (mut batch, mut more) = (Batch::new(), false);
    let mut pace = Pace::of(link.out().class_of(lane));
    loop {
        if link.has_ended() {
            return Some((lane, sender));
        }
        pace.pause(more, || link.heard()).await;
        more = true;
        let heard = link.heard();
        let load = link.fill(lane, &mut batch, pace.batch());
        let (mut parts, load) = if batch.is_empty() {
            let lent = rest(&link, lane, sender, heard).await;
            sender = lent.sender;
            match lent.rest {
                Some(rest) => rest,
                None => continue,
            }
        } else {
            (batch.take(), load)
        };
        let (begun, len) = (now(), parts.iter().map(Bytes::len).sum());
        let written = tokio::select! {
            biased;
            // First, since what was written counts, however fast the peer ended the link for it.
            written = progress::write(sender.as_mut(), &mut parts) => written,
            _ = link.ended() => return None,
        };
        match written {
            Ok(Ok(())) => {
                more = !link.written(lane, load);
                link.shared.spin.touch();
                pace.wrote(len, (begun, now()), heard, link.out().control_len() > 0);
            }
            Ok(Err(error)) => {
                lost(&link, lane, Breakage::from(error)).await;
                return None;
            }
            Err(stalled) => {
                link.end(End::Refused(CloseCode::Overloaded, stalled.to_string()));
                return None;
            }
        }
    }
}

/// Waits for something to write, or the end. Meanwhile the sender lies where others can write with it.
async fn rest(link: &Link, lane: usize, sender: Box<dyn LaneSender>, heard: u64) -> Lent {
    let (pen, work) = (&link.pens[lane], &link.work[lane]);
    let mut lent = Some(Lent { sender, rest: None });
    if let Some(own) = lent.take_if(|own| own.sender.writes_at_once()) {
        pen.put_down(own, heard);
    }
    tokio::select! {
        biased;
        _ = link.ended() => {}
        () = work.notified() => {}
    }
    if let Some(own) = lent {
        return own;
    }
    loop {
        if let Some(lent) = pen.take_back() {
            return lent;
        }
        // Somebody writes with it this moment.
        work.notified().await;
    }
}

/// A lane that cannot be written is dead, unless everything was said: then the reader decides.
async fn lost(link: &Link, lane: usize, breakage: Breakage) {
    let done = {
        let parting = lock(&link.parting);
        parting.is_done() || (lane != CONTROL && parting.has_ended(lane))
    };
    if !done {
        // What the peer said last may still be read, and says more.
        let _ = timeout(LAST_WORD, link.ended()).await;
        link.end(breakage.into());
    }
    link.ended().await;
}

/// Ends every lane in good order, or control with the code that closes.
async fn say_goodbye(end: &End, senders: Vec<Option<(usize, Box<dyn LaneSender>)>>) {
    let mut senders: Vec<_> = senders.into_iter().flatten().collect();
    // Control first: what the peer sees of the other lanes tells it less.
    senders.sort_by_key(|(lane, _)| *lane);
    for (lane, mut sender) in senders {
        if !matches!(end, End::Left) {
            if lane != CONTROL {
                continue;
            }
            let mut batch = Batch::new();
            let reason = Text16::from(end.reason().to_string().as_str());
            batch.frame(Frame::Goaway(Goaway { code: end.code().as_u16(), reason }));
            // The peer may be gone, which is what is wanted.
            let _ = sender.write(&mut batch.take()).await;
        }
        let _ = sender.finish().await;
    }
}

/// Reads control to its end, so that closing does not destroy what the peer has not read yet.
async fn drain(receivers: Vec<(usize, Box<dyn LaneReceiver>)>) {
    for (lane, mut receiver) in receivers {
        if lane == CONTROL {
            while let Ok(Some(_)) = receiver.read(STEP).await {}
        }
    }
}

/// Pings, and ends the link when nothing comes.
async fn beat(link: &Link) {
    loop {
        let poll = lock(&link.clock).poll(now());
        match poll {
            Beat::Ping => link.send_ping(),
            Beat::Wait(until) => tokio::select! {
                biased;
                () = sleep_until(until.into()) => {}
                () = link.beat.notified() => {}
            },
            Beat::Stalled => link.falls_silent(),
            Beat::Down => return link.end(End::Silent(link.shared.config.down_after)),
        }
    }
}
