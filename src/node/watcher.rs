//! The task that pings a peer on its heartbeat lane while somebody wants to know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dialler::Dialled;
use super::error::{Breakage, DownReason};
use super::heartbeat::{Beat, Heartbeat, LaneEnd};
use super::here;
use super::link::Link;
use super::peer::Peer;
use super::shared::{Stage, now};
use super::standing::Up;
use crate::transport::{CloseCode, Lane, LaneClass, LaneReceiver, LaneSender};
use crate::wire::{AnswerError, Answers, Asked, Batch, STEP};

/// Watches until nobody wants it any more.
pub(super) async fn watch(peer: Arc<Peer>) {
    tokio::select! {
        biased;
        () = peer.shared.at(Stage::Closed) => {}
        () = episodes(&peer) => {}
    }
}

/// How one heartbeat lane ended.
enum Over {
    /// Nobody wants signs of life any more.
    Unwanted,
    /// No pong came in time.
    Silent,
    /// The lane is gone.
    Ended(Breakage),
}

/// From one death to the next, until nobody cares.
async fn episodes(peer: &Arc<Peer>) {
    while let Some(reason) = episode(peer).await {
        // First, so that whoever is told finds no remains of the dead connection.
        peer.dialler.close(CloseCode::Unresponsive, "no sign of life");
        peer.standing.forget();
        peer.watch.down(&reason);
        peer.missed(&reason);
        if !peer.watch.is_wanted() {
            return;
        }
    }
}

/// `Some` when the peer is gone, `None` when [`is_wanted`](super::watch::Watch::is_wanted) said no,
/// after which this task has to end.
async fn episode(peer: &Arc<Peer>) -> Option<DownReason> {
    if let Some(at) = peer.dial_again_at() {
        pause(peer, at).await;
    }
    match peer.connect().await {
        Ok(Up::One) => ping_on_lanes(peer).await,
        Ok(Up::Two(link)) => ask_the_link(peer, &link).await,
        Ok(Up::Here) => {
            here::watch(peer).await;
            None
        }
        Err(reason) => Some(DownReason::Refused(reason)),
    }
}

/// At level 2 the link has a heartbeat of its own, and tells by itself of actors that end: only who
/// asks for a ping is served here.
async fn ask_the_link(peer: &Peer, link: &Arc<Link>) -> Option<DownReason> {
    while peer.watch.is_wanted() {
        if peer.watch.has_waiting() {
            peer.watch.pinged();
            match link.ping().await {
                Some(round_trip) => drop(peer.watch.ponged(round_trip)),
                None => return Some(link.gone().await.reason()),
            }
            continue;
        }
        tokio::select! {
            biased;
            end = link.gone() => return Some(end.reason()),
            () = peer.watch.probed.notified() => {}
        }
    }
    None
}

/// At level 1: pings over as many lanes as it takes.
async fn ping_on_lanes(peer: &Peer) -> Option<DownReason> {
    let mut clock: Option<Heartbeat> = None;
    loop {
        let (dialled, lane) = match peer.dialler.open_lane(LaneClass::Heartbeat).await {
            Ok(opened) => opened,
            Err(reason) => {
                peer.unreachable(&reason);
                return Some(DownReason::Refused(reason));
            }
        };
        peer.reached();
        let clock = clock.get_or_insert_with(|| new_clock(peer));
        clock.lane_opened(now());
        let breakage = match beat(peer, clock, &dialled, lane).await {
            Over::Unwanted => return None,
            Over::Silent => return Some(silent(peer.shared.config.down_after)),
            Over::Ended(breakage) => breakage,
        };
        peer.watch.unanswered();
        match clock.lane_ended(now()) {
            LaneEnd::Died => return Some(breakage.reason()),
            LaneEnd::Redial(at) => pause(peer, at).await,
        }
        if !peer.watch.is_wanted() {
            return None;
        }
    }
}

fn new_clock(peer: &Peer) -> Heartbeat {
    let config = &peer.shared.config;
    Heartbeat::new(config.heartbeat, config.down_after, now())
}

/// Waits for the next dial, or for somebody who wants to know now.
async fn pause(peer: &Peer, until: Instant) {
    tokio::select! {
        biased;
        () = tokio::time::sleep_until(until.into()) => {}
        () = peer.watch.probed.notified() => {}
    }
}

/// Does what the clock says while the lane lives.
async fn beat(peer: &Peer, clock: &mut Heartbeat, dialled: &Dialled, lane: Lane) -> Over {
    let (mut sender, mut receiver) = lane;
    let closed = dialled.closed();
    tokio::pin!(closed);
    let mut suspect = false;
    let mut answers = Answers::new();
    loop {
        let wake = match clock.poll(now()) {
            Beat::Down => return Over::Silent,
            Beat::Wait(until) => until,
            Beat::Ping => {
                if !peer.watch.is_wanted() {
                    goodbye(sender.as_mut()).await;
                    return Over::Unwanted;
                }
                if let Err(breakage) = ping(peer, sender.as_mut(), &mut answers).await {
                    return Over::Ended(breakage);
                }
                continue;
            }
        };
        tokio::select! {
            biased;
            pongs = read(receiver.as_mut(), &mut answers) => match pongs {
                Ok(pongs) => (0..pongs).for_each(|_| ponged(peer, clock)),
                Err(breakage) => return Over::Ended(breakage),
            },
            () = &mut closed, if !suspect => {
                suspect = true;
                clock.probe(now());
            }
            () = peer.watch.probed.notified() => clock.probe(now()),
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
}

async fn ping(peer: &Peer, sender: &mut dyn LaneSender, answers: &mut Answers<()>) -> Result<(), Breakage> {
    peer.watch.pinged();
    answers.expect(Asked::Ping, ());
    let mut batch = Batch::new();
    batch.ping();
    let limit = peer.shared.config.down_after;
    match tokio::time::timeout(limit, sender.write(&mut batch.take())).await {
        Ok(written) => written.map_err(Breakage::from),
        Err(_) => Err(Breakage::unproven("a ping could not be written")),
    }
}

/// The number of pongs that came, at least one read of them.
async fn read(receiver: &mut dyn LaneReceiver, answers: &mut Answers<()>) -> Result<usize, Breakage> {
    let mut bytes = receiver.read(STEP).await?.ok_or_else(Breakage::closed)?;
    let mut pongs = 0;
    let bad = |error: AnswerError| Breakage::unproven(error.to_string());
    while answers.next_answer(&mut bytes).map_err(bad)?.is_some() {
        pongs += 1;
    }
    Ok(pongs)
}

fn silent(after: Duration) -> DownReason {
    DownReason::Unreachable(format!("no pong for {after:?}"))
}

fn ponged(peer: &Peer, clock: &mut Heartbeat) {
    let round_trip = clock.pong(now(), peer.shared.chance.spread());
    if peer.watch.ponged(round_trip) {
        clock.probe(now());
    }
}

async fn goodbye(sender: &mut dyn LaneSender) {
    // Failing here means that the lane is gone, which is what is wanted.
    let _ = sender.finish().await;
}
