//! The dialling side of the handshake.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use tokio::task::JoinSet;

use super::carrier::carry;
use super::end::printable;
use super::greeting::{self, agree};
use super::registry::{BULK, MESSAGES, Tentative};
use super::strand::{Broken, Strand};
use super::table::{Decision, Life};
use super::{End, Link};
use crate::config::Level;
use crate::node::dialler;
use crate::node::peer::Peer;
use crate::node::shared::Shared;
use crate::transport::{CloseCode, Connection, Lane, LaneClass};
use crate::wire::level2::{self, Frame, Goaway, HelloAck, Id, Probe, Ready, Text16};
use crate::wire::{Batch, STEP};

/// What was found at an address.
pub(in crate::node) enum Dialled {
    /// A peer that speaks the documented framing; the lane goes on with it.
    One(Lane),
    /// A node of ours, and the link with it: a new one, or one that was up before.
    Two(Arc<Link>),
    /// This very node.
    Here,
}

/// Why there is no link.
enum Failure {
    /// It is this very node that answers.
    Ourselves,
    Because {
        code: CloseCode,
        reason: String,
    },
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        let code = match &broken {
            Broken::Lane(_) => CloseCode::Normal,
            Broken::Bytes(error) => error.code(),
        };
        Self::Because { code, reason: broken.to_string() }
    }
}

fn failed(code: CloseCode, reason: impl Into<String>) -> Failure {
    Failure::Because { code, reason: reason.into() }
}

/// Finds out who answers on a fresh `lane`, and links with a node of ours. The caller sets the
/// deadline.
pub(in crate::node) async fn negotiate(
    shared: &Arc<Shared>,
    dialled: &dialler::Dialled,
    peer: &Arc<Peer>,
    mut lane: Lane,
) -> Result<Dialled, String> {
    let id = shared.chance.id();
    if dialled.connection.level() != Some(Level::Two) && !probe(id, &mut lane).await? {
        return Ok(Dialled::One(lane));
    }
    let attempt = Attempt { shared, dialled, dialling: peer, id };
    // Whatever happens, also when the caller gives up, nothing of this link stays behind.
    match attempt.greet(lane, shared.links.tentative(id)).await {
        Ok(link) => Ok(Dialled::Two(link)),
        Err(Failure::Ourselves) => {
            dialled.connection.close(CloseCode::Normal, "");
            Ok(Dialled::Here)
        }
        Err(Failure::Because { code, reason }) => {
            dialled.connection.close(code, &reason);
            Err(reason)
        }
    }
}

/// Whether a node of ours answers.
async fn probe(id: Id, (sender, receiver): &mut Lane) -> Result<bool, String> {
    let mut batch = Batch::new();
    batch.resolve(&Probe { link: id }.name());
    sender.write(&mut batch.take()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    while answer.len() < 8 {
        let read = receiver.read(STEP).await.map_err(|error| error.to_string())?;
        answer.extend_from_slice(&read.ok_or("closed by the peer before it answered")?);
    }
    if answer.len() > 8 {
        return Err("the peer sent bytes that nobody asked for".to_owned());
    }
    Ok(level2::read_magic(Bytes::from(answer).get_u64()).is_some())
}

struct Attempt<'a> {
    shared: &'a Arc<Shared>,
    dialled: &'a dialler::Dialled,
    dialling: &'a Arc<Peer>,
    id: Id,
}

impl Attempt<'_> {
    async fn greet(&self, lane: Lane, tentative: Tentative<'_>) -> Result<Arc<Link>, Failure> {
        let config = &self.shared.config;
        let me = self.shared.links.me();
        let mut control = Strand::new(lane, greeting::max_frame(config));
        let hello = me.hello(self.id, config, self.shared.advertised());
        control.say(Frame::Hello(Box::new(hello.clone()))).await?;
        let ack = acknowledged(control.hear().await?)?;
        let proved = self.connection().peer_identity();
        let peer = greeting::judge(&ack.hello, proved.as_ref()).map_err(|e| failed(e.code, e.reason))?;
        let offered = (hello.lanes, hello.bulk_slots);
        if ack.hello.link != self.id || ack.hello.lanes > offered.0 || ack.hello.bulk_slots > offered.1 {
            return Err(failed(CloseCode::Malformed, "the peer answered another greeting"));
        }
        let mut strands = vec![control];
        strands.extend(self.open_lanes(&ack).await?);
        if let Some(other) = self.commit(peer, ack.other, proved.is_some()).await? {
            self.give_way(&mut strands[0]).await;
            return Ok(other);
        }
        let agreed = agree(&ack.hello, &ack.hello, config);
        let (shared, at) = (self.shared.clone(), (self.dialling.addr.clone(), &ack.hello));
        let link = Arc::new(Link::new(shared, self.id, peer, proved, at, agreed));
        link.push(None, Frame::Ready(Ready { lanes: ack.hello.lanes }));
        self.shared.whereabouts.found(self.dialling, Some(peer.node));
        link.begin();
        tentative.keep();
        let dialled = self.dialled.clone();
        let close = move |code, reason: &str| dialled.connection.close(code, reason);
        self.shared.spawn(carry(link.clone(), strands, close));
        Ok(link)
    }

    /// Opens the lanes, all at once since each may be a connection with a handshake of its own.
    async fn open_lanes(&self, ack: &HelloAck) -> Result<Vec<Strand>, Failure> {
        let lane = |kind, number| level2::Lane { kind, number, link: self.id, key: ack.key };
        let mut wanted: Vec<_> =
            (1..=ack.hello.lanes).map(|n| (LaneClass::Message, lane(MESSAGES, n))).collect();
        if ack.hello.bulk_slots > 0 {
            wanted.push((LaneClass::Bulk, lane(BULK, 0)));
        }
        let mut opening = JoinSet::new();
        let max_frame = greeting::max_frame(&self.shared.config);
        for (place, (class, frame)) in wanted.into_iter().enumerate() {
            let connection = self.dialled.connection.clone();
            opening
                .spawn(async move { Ok((place, open(connection.as_ref(), class, frame, max_frame).await?)) });
        }
        let mut opened = Vec::new();
        while let Some(lane) = opening.join_next().await {
            // Dropping the set, at an error too, gives the other attempts up.
            let given_up = |_| failed(CloseCode::Internal, "opening a lane was given up");
            let lane: Result<_, Failure> = lane.map_err(given_up)?;
            opened.push(lane?);
        }
        opened.sort_by_key(|(place, _)| *place);
        Ok(opened.into_iter().map(|(_, strand)| strand).collect())
    }

    /// Waits until the rules let this link be up; `Some` is the link that is up instead of it.
    async fn commit(&self, peer: Life, other: Id, verified: bool) -> Result<Option<Arc<Link>>, Failure> {
        let links = &self.shared.links;
        loop {
            let seen = links.changes();
            match links.decide(self.id, peer, other, verified) {
                Decision::Commit => return Ok(None),
                Decision::Replace(old) => {
                    if let Some(older) = links.get(old)
                        && older.still_lives().await
                    {
                        // What was dialled has ended since it answered.
                        return Ok(Some(older));
                    }
                    replace(self.shared, old, peer, self.id).await;
                    continue;
                }
                Decision::Alias(up) => match links.get(up) {
                    Some(link) => return Ok(Some(link)),
                    // The peer has sent READY on it already, or it has died.
                    None if links.holds(up) => {}
                    None => continue,
                },
                Decision::Wait => {}
                Decision::Refuse(refusal) => return Err(failed(refusal.code(), refusal.to_string())),
            }
            links.changed(seen).await;
        }
    }

    /// Another link with that node is up: this one is not needed.
    async fn give_way(&self, control: &mut Strand) {
        let reason = Text16::from("another link is up");
        let frame = Frame::Goaway(Goaway { code: CloseCode::Duplicate.as_u16(), reason });
        // The connection is closed in any case.
        let _ = control.say(frame).await;
        let _ = control.sender.finish().await;
        self.connection().close(CloseCode::Duplicate, "another link is up");
    }

    fn connection(&self) -> &dyn Connection {
        self.dialled.connection.as_ref()
    }
}

/// Opens a lane and has the peer take it.
async fn open(
    connection: &dyn Connection,
    class: LaneClass,
    frame: level2::Lane,
    max_frame: usize,
) -> Result<Strand, Failure> {
    let lane = connection.open_lane(class).await;
    let lane = lane.map_err(|error| failed(CloseCode::Normal, error.to_string()))?;
    let mut strand = Strand::new(lane, max_frame);
    strand.say(Frame::Lane(frame)).await?;
    match strand.hear().await? {
        Frame::LaneOk(_) => Ok(strand),
        Frame::Goaway(goaway) => Err(turned_away(&goaway)),
        _ => Err(failed(CloseCode::Malformed, "the peer did not take a lane")),
    }
}

/// The peer has refused, and said why.
fn turned_away(Goaway { code, reason }: &Goaway) -> Failure {
    let reason = format!("refused by the peer with code {code:#04x}: {}", printable(reason.as_str()));
    failed(CloseCode::Normal, reason)
}

/// Ends a link that gives way to one with `peer`, which may be a new life of the node, and waits until
/// nothing of it arrives any more and whoever monitors has been told: what the new one brings comes
/// after that (G2, G4).
pub(super) async fn replace(shared: &Shared, old: Id, peer: Life, by: Id) {
    let link = shared.links.get(old);
    shared.links.replaced(old, peer, by);
    if let Some(link) = link {
        link.end(if link.peer == peer {
            End::Refused(CloseCode::Duplicate, "the node has connected anew".to_owned())
        } else {
            End::Restarted
        });
        link.gone().await;
    }
}

fn acknowledged(frame: Frame) -> Result<Box<HelloAck>, Failure> {
    match frame {
        Frame::HelloAck(ack) => Ok(ack),
        // Another link refuses READY with this code, which comes later.
        Frame::Goaway(Goaway { code, .. }) if code == CloseCode::Duplicate.as_u16() => {
            Err(Failure::Ourselves)
        }
        Frame::Goaway(goaway) => Err(turned_away(&goaway)),
        _ => Err(failed(CloseCode::Malformed, "the peer did not answer the greeting")),
    }
}
