//! The accepting side of the handshake: links that are greeted, and lanes that join one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Link;
use super::carrier::carry;
use super::dial::replace;
use super::end::printable;
use super::greeting::{self, agree};
use super::registry::{Joining, Origin};
use super::strand::{Broken, Strand};
use super::table::{Arrival, Life};
use crate::node::serve::Accepted;
use crate::node::serve_lane::Refused;
use crate::node::shared::{Shared, Stage};
use crate::transport::{CloseCode, Lane};
use crate::wire::level2::{self, Frame, Goaway, Hello, HelloAck, Id, LaneOk, Text16};

/// How long an older link may take to prove that it lives, when a newer one wants its place.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Serves a lane that begins with HELLO, until the link is over. `expected` is the id that the peer's
/// probe named.
pub(in crate::node) async fn greet(
    accepted: &Accepted,
    lane: Lane,
    rest: bytes::Bytes,
    expected: Option<Id>,
) -> Result<(), Refused> {
    let shared = &accepted.shared;
    let mut control = strand(shared, lane, rest);
    let mut lanes = Vec::new();
    let limit = shared.config.connect_timeout;
    let offered = tokio::select! {
        biased;
        offered = timeout(limit, offer(accepted, &mut control, &mut lanes, expected)) => {
            let late = || refused(CloseCode::Timeout, format!("the handshake took longer than {limit:?}"));
            offered.unwrap_or_else(|_| Err(late()))
        }
        () = shared.at(Stage::Draining) => Err(leaving()),
    };
    match offered {
        Ok(link) => {
            let strands = std::iter::once(control).chain(lanes.into_iter().flatten()).collect();
            let connection = accepted.connection.clone();
            let close = move |code, reason: &str| connection.close(code, reason);
            // On its own, since a link must come to its end though this lane's server is dropped.
            shared.spawn(carry(link.clone(), strands, close));
            link.gone().await;
            Ok(())
        }
        Err(refused) => {
            say_why(&mut control, &refused).await;
            // Only now: to the peer the link may be up, and an end of its lanes without a word looks as if it was cut.
            drop(lanes);
            Err(refused)
        }
    }
}

/// Serves a lane that begins with LANE, until its link is over; `is_first` says that its connection has brought no other.
pub(in crate::node) async fn join(
    accepted: &Accepted,
    lane: Lane,
    rest: bytes::Bytes,
    is_first: bool,
) -> Result<(), Refused> {
    let shared = &accepted.shared;
    let mut strand = strand(shared, lane, rest);
    let limit = shared.config.connect_timeout;
    let placed = match timeout(limit, place(accepted, &mut strand)).await {
        Ok(placed) => placed,
        Err(_) => Err(refused(CloseCode::Timeout, format!("LANE took longer than {limit:?}"))),
    };
    match placed {
        Ok((place, joins)) => {
            if is_first {
                accepted.has_joined();
            }
            let (over, ended) = oneshot::channel();
            strand.over = Some(over);
            // The link may have died meanwhile, and the lane dies with it.
            let _ = joins.send((place, strand)).await;
            drop(joins);
            let _ = ended.await;
            Ok(())
        }
        Err(refused) => {
            say_why(&mut strand, &refused).await;
            Err(refused)
        }
    }
}

/// Reads LANE and answers it; returns the lane's place and where it goes.
async fn place(accepted: &Accepted, strand: &mut Strand) -> Result<(usize, mpsc::Sender<Joining>), Refused> {
    accepted.admitted()?;
    let Frame::Lane(frame) = hear(strand).await? else {
        return Err(refused(CloseCode::Malformed, "a lane must begin with LANE".to_owned()));
    };
    let joins = accepted.shared.links.join(&frame, &origin(accepted));
    let joins = joins.map_err(|code| refused(code, "a lane for no link, or for a taken place".to_owned()))?;
    let ok = Frame::LaneOk(LaneOk { kind: frame.kind, number: frame.number });
    strand.say(ok).await.map_err(|broken| refused(CloseCode::Normal, broken.to_string()))?;
    Ok(joins)
}

fn origin(accepted: &Accepted) -> Origin {
    let Accepted { connection, serial, .. } = accepted;
    let (identity, carries_all) = (connection.peer_identity(), connection.carries_all_lanes());
    Origin { connection: *serial, identity, carries_all }
}

/// From HELLO to READY. The lanes that came are in `lanes` then, also where the link is refused.
async fn offer(
    accepted: &Accepted,
    control: &mut Strand,
    lanes: &mut Vec<Option<Strand>>,
    expected: Option<Id>,
) -> Result<Arc<Link>, Refused> {
    let shared = &accepted.shared;
    accepted.admitted()?;
    let Frame::Hello(hello) = hear(control).await? else {
        return Err(refused(CloseCode::Malformed, "a link must begin with HELLO".to_owned()));
    };
    let proved = accepted.connection.peer_identity();
    let peer = greeting::judge(&hello, proved.as_ref()).map_err(|e| refused(e.code, e.reason))?;
    if expected.is_some_and(|expected| expected != hello.link) {
        return Err(refused(CloseCode::Malformed, "HELLO names another link than the probe".to_owned()));
    }
    let tentative = shared.links.tentative(hello.link);
    let me = shared.links.me();
    let answer = me.ack(&hello, Id::NONE, Id::NONE, &shared.config, shared.advertised()).hello;
    let wanted = (answer.lanes, answer.bulk_slots > 0);
    let origin = origin(accepted);
    let key = if origin.is_keyless() { Id::NONE } else { shared.chance.id() };
    let (other, joined) = shared
        .links
        .offer(hello.link, peer, wanted, origin, key)
        .map_err(|refusal| refused(refusal.code(), refusal.to_string()))?;
    let ack = Frame::HelloAck(Box::new(HelloAck { hello: answer.clone(), other, key }));
    control.say(ack).await.map_err(|broken| refused(CloseCode::Normal, broken.to_string()))?;
    gather(control, joined, wanted, lanes).await?;
    admit(shared, &hello, peer, proved.is_some()).await?;
    let agreed = agree(&hello, &answer, &shared.config);
    let addr = accepted.connection.peer_addr();
    let link = Arc::new(Link::new(shared.clone(), hello.link, peer, proved, (addr, &hello), agreed));
    link.begin();
    tentative.keep();
    Ok(link)
}

/// Waits for every lane, and for READY.
async fn gather(
    control: &mut Strand,
    mut joined: mpsc::Receiver<Joining>,
    (messages, bulk): (u8, bool),
    lanes: &mut Vec<Option<Strand>>,
) -> Result<(), Refused> {
    lanes.resize_with(usize::from(messages) + usize::from(bulk), || None);
    loop {
        tokio::select! {
            biased;
            Some((place, strand)) = joined.recv() => lanes[place] = Some(strand),
            frame = hear(control) => match frame? {
                Frame::Ready(ready) if ready.lanes == messages => break,
                Frame::Goaway(goaway) => {
                    return Err(refused(CloseCode::Normal, printable(goaway.reason.as_str())));
                }
                _ => return Err(refused(CloseCode::Malformed, "READY was expected".to_owned())),
            },
        }
    }
    // A lane is answered before it arrives here, so READY may be faster.
    while lanes.iter().any(Option::is_none) {
        let missing = || refused(CloseCode::Malformed, "READY came without its lanes".to_owned());
        let (place, strand) = joined.recv().await.ok_or_else(missing)?;
        lanes[place] = Some(strand);
    }
    Ok(())
}

/// Makes room for the link: an older one with the same node gives way, unless it proves to live.
async fn admit(shared: &Shared, hello: &Hello, peer: Life, verified: bool) -> Result<(), Refused> {
    if shared.stage() != Stage::Running {
        return Err(leaving());
    }
    loop {
        match shared.links.ready(hello.link) {
            Arrival::Up => return Ok(()),
            Arrival::Unknown => return Err(refused(CloseCode::Internal, "the link was given up".to_owned())),
            Arrival::Replace(old) => {
                // Of the same life it cannot be, where that is proved: a node has one link with another. What a life
                // has said that has ended since may come behind what the next one says.
                let older = shared.links.get(old).filter(|older| !verified || older.peer != peer);
                if let Some(older) = older
                    && older.still_lives().await
                {
                    return Err(refused(CloseCode::Duplicate, "another link is up".to_owned()));
                }
                replace(shared, old, peer, hello.link).await;
            }
        }
    }
}

fn strand(shared: &Shared, lane: Lane, rest: bytes::Bytes) -> Strand {
    let mut strand = Strand::new(lane, greeting::max_frame(&shared.config));
    strand.decoder.feed(rest);
    strand
}

async fn hear(control: &mut Strand) -> Result<Frame, Refused> {
    control.hear().await.map_err(|broken| match broken {
        Broken::Lane(reason) => refused(CloseCode::Normal, reason),
        Broken::Bytes(error) => error.into(),
    })
}

/// On TCP the code has no other way.
async fn say_why(control: &mut Strand, refused: &Refused) {
    let frame = level2::Frame::Goaway(Goaway {
        code: refused.code.as_u16(),
        reason: Text16::from(refused.reason.as_str()),
    });
    let words = async {
        // The peer may be gone.
        let _ = control.say(frame).await;
        let _ = control.sender.finish().await;
        while let Ok(Some(_)) = control.receiver.read(1 << 16).await {}
    };
    let _ = timeout(LAST_WORDS, words).await;
}

fn leaving() -> Refused {
    refused(CloseCode::GoingAway, "the node is leaving".to_owned())
}

fn refused(code: CloseCode, reason: String) -> Refused {
    Refused { code, reason }
}
