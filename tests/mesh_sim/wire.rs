//! A connection in a simulated network: lanes that do not wait for each other, and an end that both
//! sides learn of, each at its time.

use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use async_trait::async_trait;
use myrmidon::transport::{
    CloseCode, Connection, Lane, LaneClass, Level, NodeAddr, PeerIdentity, TransportError,
};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::network::{Mischief, Network, Path};
use crate::pipe::{Pipe, Receiver, Sender, wait};

/// The side that dialled, and the one that accepted.
pub(crate) const DIALLER: usize = 0;
pub(crate) const ACCEPTOR: usize = 1;

/// What the two sides share.
pub(crate) struct Wire {
    network: Network,
    pub(crate) hosts: [String; 2],
    /// From the dialler, and back.
    paths: [Arc<Path>; 2],
    state: Mutex<State>,
    news: [Notify; 2],
}

#[derive(Default)]
struct State {
    /// Lanes that were opened, with the time at which the acceptor learns of them.
    arriving: Vec<(Instant, LaneEnds)>,
    pipes: Vec<(usize, Weak<Pipe>)>,
    /// When each side learns that it is over, and why.
    ended: [Option<(Instant, TransportError)>; 2],
    severed: bool,
}

/// The acceptor's ends of a lane.
type LaneEnds = (Sender, Receiver);

/// What one side holds of a connection. When the last of it is dropped the other side learns of it.
pub(crate) struct Handle {
    wire: Arc<Wire>,
    side: usize,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.wire.close(self.side, CloseCode::Normal, "every handle was dropped", false);
    }
}

/// A lane that the acceptor does not know of yet.
pub(crate) struct Announcement {
    wire: Arc<Wire>,
    lane: Box<LaneEnds>,
}

impl Announcement {
    pub(crate) fn arrive(self, at: Instant) {
        self.wire.state().arriving.push((at, *self.lane));
        self.wire.news[ACCEPTOR].notify_one();
    }
}

impl Wire {
    pub(crate) fn new(network: Network, hosts: [String; 2], paths: [Arc<Path>; 2]) -> Arc<Self> {
        let news = [Notify::new(), Notify::new()];
        Arc::new(Self { network, hosts, paths, state: Mutex::default(), news })
    }

    pub(crate) fn end(self: &Arc<Self>, side: usize) -> Box<dyn Connection> {
        Box::new(End { handle: Arc::new(Handle { wire: self.clone(), side }) })
    }

    /// Breaks it without a word; each side learns of it after its time.
    pub(crate) fn sever(&self, after: [Duration; 2]) {
        let at = after.map(|after| Instant::now() + after);
        let pipes = {
            let mut state = self.state();
            state.severed = true;
            for (ended, at) in state.ended.iter_mut().zip(at) {
                ended.get_or_insert((at, TransportError::Lost("the network was cut".into())));
            }
            state.pipes.clone()
        };
        for (writer, pipe) in pipes {
            if let Some(pipe) = pipe.upgrade() {
                pipe.sever(at[1 - writer], at[writer]);
            }
        }
        self.news.iter().for_each(Notify::notify_one);
    }

    /// Whether neither side has ended it.
    pub(crate) fn is_open(&self) -> bool {
        let state = self.state();
        !state.severed && state.ended.iter().all(Option::is_none)
    }

    fn close(&self, side: usize, code: CloseCode, reason: &str, at_once: bool) {
        let pipes = {
            let mut state = self.state();
            if state.ended[side].is_some() {
                return;
            }
            let now = Instant::now();
            let there = TransportError::ClosedByPeer { code: code.as_u16().into(), reason: reason.into() };
            state.ended[side] = Some((now, TransportError::ClosedLocally));
            let arrives = now + self.network.delay();
            if !state.severed {
                state.ended[1 - side].get_or_insert((arrives, there));
            }
            // What was finished can still be read where nobody closed on purpose.
            if at_once { state.pipes.clone() } else { Vec::new() }
        };
        let error = || TransportError::ClosedByPeer { code: code.as_u16().into(), reason: reason.into() };
        for (writer, pipe) in pipes {
            let Some(pipe) = pipe.upgrade() else { continue };
            pipe.end_here(writer != side);
            if writer == side {
                pipe.tell_reader(error());
            } else {
                pipe.tell_writer(error());
            }
        }
        self.news.iter().for_each(Notify::notify_one);
    }

    /// The end, once `side` knows of it.
    fn ended(&self, side: usize) -> Result<(), TransportError> {
        match &self.state().ended[side] {
            Some((at, error)) if *at <= Instant::now() => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn ends_at(&self, side: usize) -> Option<Instant> {
        self.state().ended[side].as_ref().map(|(at, _)| *at)
    }

    /// The lane that has been on its way longest and is there.
    fn arrived(&self) -> Result<LaneEnds, Option<Instant>> {
        let mut state = self.state();
        let first = (0..state.arriving.len()).min_by_key(|index| state.arriving[*index].0);
        let Some(first) = first else { return Err(None) };
        let at = state.arriving[first].0.max(self.paths[DIALLER].healed_at().unwrap_or(Instant::now()));
        if self.paths[DIALLER].is_cut() {
            return Err(Some(Instant::now() + Duration::from_millis(100)));
        }
        if at > Instant::now() { Err(Some(at)) } else { Ok(state.arriving.remove(first).1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// One side of a connection.
struct End {
    handle: Arc<Handle>,
}

impl End {
    fn wire(&self) -> &Arc<Wire> {
        &self.handle.wire
    }

    fn lane(&self, (mut sender, mut receiver): LaneEnds) -> Lane {
        sender.handle = Some(self.handle.clone());
        receiver.handle = Some(self.handle.clone());
        (Box::new(sender), Box::new(receiver))
    }

    async fn until_ended(&self) -> TransportError {
        let (wire, side) = (self.wire(), self.handle.side);
        loop {
            match wire.ended(side) {
                Err(error) => return error,
                // Others may wait for the same news.
                Ok(()) => {
                    let until = wire.ends_at(side).unwrap_or(Instant::now() + Duration::from_millis(500));
                    tokio::time::sleep_until(until).await;
                }
            }
        }
    }
}

#[async_trait]
impl Connection for End {
    async fn open_lane(&self, class: LaneClass) -> Result<Lane, TransportError> {
        let wire = self.wire();
        wire.ended(self.handle.side)?;
        assert_eq!(self.handle.side, DIALLER, "only the dialler opens lanes");
        let mischief = if class == LaneClass::Message { wire.network.mischief() } else { Mischief::None };
        let there = Pipe::new(&wire.paths[0], &wire.paths[1], wire.network.nature(mischief));
        let back = Pipe::new(&wire.paths[1], &wire.paths[0], wire.network.nature(mischief));
        let pipes = [(DIALLER, Arc::downgrade(&there)), (ACCEPTOR, Arc::downgrade(&back))];
        wire.state().pipes.extend(pipes);
        if wire.state().severed {
            let never = Instant::now() + Duration::from_secs(3600);
            [&there, &back].iter().for_each(|pipe| pipe.sever(never, never));
        }
        let ends = |out: &Arc<Pipe>, back: &Arc<Pipe>, announcement| {
            let sender = Sender { pipe: out.clone(), handle: None, announcement, finished: false };
            (sender, Receiver { pipe: back.clone(), handle: None })
        };
        let announcement = Announcement { wire: wire.clone(), lane: Box::new(ends(&back, &there, None)) };
        Ok(self.lane(ends(&there, &back, Some(announcement))))
    }

    async fn accept_lane(&self) -> Result<Option<Lane>, TransportError> {
        let (wire, side) = (self.wire(), self.handle.side);
        loop {
            let next = match wire.arrived() {
                Ok(lane) if side == ACCEPTOR => return Ok(Some(self.lane(lane))),
                Ok(_) => unreachable!("only the dialler opens lanes"),
                Err(next) => next,
            };
            match wire.ended(side) {
                Err(TransportError::ClosedByPeer { code: 0 | 1, .. }) => return Ok(None),
                Err(error) => return Err(error),
                Ok(()) => {
                    let until = next.into_iter().chain(wire.ends_at(side)).min();
                    wait(&wire.news[side], until).await;
                }
            }
        }
    }

    fn peer_identity(&self) -> Option<PeerIdentity> {
        let wire = self.wire();
        wire.network.identity(&wire.hosts[1 - self.handle.side])
    }

    fn level(&self) -> Option<Level> {
        self.wire().network.is_authenticated().then_some(Level::Two)
    }

    fn peer_addr(&self) -> NodeAddr {
        NodeAddr::new(&self.wire().hosts[1 - self.handle.side], 1)
    }

    fn close(&self, code: CloseCode, reason: &str) {
        self.wire().close(self.handle.side, code, reason, true);
    }

    async fn closed(&self) -> TransportError {
        self.until_ended().await
    }
}
