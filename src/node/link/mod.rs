//! The link between two nodes at level 2: lanes of typed frames under one epoch.
//!
//! ```text
//! Peer ─► Link ─► Outgoing (a queue per lane, credit) ─► carrier: a writer per lane ─► transport
//! transport ─► carrier: a reader per lane ─► Inlet (what each frame does) ─► LocalNode, Watch
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `table` | which link lives when both nodes dial (sans-IO, with a search through all states) |
//! | `greeting` | who we are, and what two nodes agree on |
//! | `registry` | the links of a node, and the lanes that wait to join one |
//! | `dial`, `accept`, `begin` | the two sides of the handshake, and what follows it |
//! | `end` | why a link is over |
//! | `outgoing`, `queue`, `credit` | what waits to be written, and how much may be (sans-IO) |
//! | `lane_queue` | the turns of receivers in a lane, and which of them the peer asked to spare (sans-IO) |
//! | `bulk` | large payloads on their way out, in chunks (sans-IO) |
//! | `parking`, `payload`, `parked` | those on their way in, each of them, and what waits behind them (sans-IO) |
//! | `asks`, `answers`, `refusal` | questions that wait (sans-IO), answering those of the peer, and why not |
//! | `sparing` | large questions that nobody asks any more |
//! | `clock`, `parting` | life and death, and leaving without loss (sans-IO) |
//! | `leaving`, `pings`, `questions` | carrying out a parting; signs of life; resolves that wait |
//! | `inquiries` | what the peer asks of the node itself, at its rate |
//! | `carrier`, `pen`, `inlet` | the tasks of a link, writing without them, and what incoming frames do |
//! | `brakes` | which of our actors the peer is asked to spare |
//! | `guests` | the peer's monitors of our actors |
//! | `ties`, `bonds` | links and monitors between actors of both (sans-IO), and what is said of them |
//! | `health` | how the peer is, and who is told |
//! | `room` | who waits for room in a link |
//! | `users` | the addresses under which the node is in use here |
//! | `reason` | why an actor ended, as the wire says it |

mod accept;
mod answers;
mod asks;
mod begin;
mod bonds;
mod brakes;
mod bulk;
mod carrier;
mod clock;
mod credit;
mod dial;
mod end;
mod greeting;
mod guests;
mod health;
mod inlet;
mod inquiries;
mod lane_queue;
mod leaving;
mod outgoing;
mod pace;
mod parked;
mod parking;
mod parting;
mod payload;
mod pen;
mod pings;
mod questions;
mod queue;
mod reason;
mod refusal;
mod registry;
mod room;
mod sparing;
mod strand;
mod table;
#[cfg(test)]
mod table_tests;
mod ties;
mod users;

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

pub(super) use accept::{greet, join};
pub(super) use asks::{Question, Unasked};
pub(super) use dial::{Dialled, negotiate};
pub(super) use end::End;
pub(super) use registry::Links;
pub(super) use table::Life;

use self::brakes::Brakes;
use self::clock::Clock;
use self::credit::{Allowance, Grant};
use self::greeting::Agreed;
use self::guests::Guests;
use self::health::Health;
use self::inquiries::Inquiries;
use self::outgoing::Outgoing;
use self::parking::Parking;
use self::parting::Parting;
use self::pen::Pen;
use self::pings::Pings;
use self::questions::Questions;
use self::ties::Ties;
use self::users::Users;
use super::outbound::{Load, Refusal};
use super::peer::Reply;
use super::proxy::Neighbours;
use super::room::Room;
use super::shared::{Shared, now};
use super::shown::Shown;
use super::throttle::{self, TokenBucket};
use crate::pid::Pid;
use crate::transport::{CloseCode, NodeAddr, PeerIdentity};
use crate::wire::Batch;
use crate::wire::level2::{Credit, Demonitor, Frame, Hello, Id, Monitor, Resolve, Text16};

pub(super) struct Link {
    pub(super) id: Id,
    pub(super) peer: Life,
    pub(super) identity: Option<PeerIdentity>,
    /// Where the peer is: as dialled, or as it came.
    addr: NodeAddr,
    /// Where it says that it can be dialled. Never decides anything.
    pub(super) advertised: Option<NodeAddr>,
    agreed: Agreed,
    pub(in crate::node) shared: Arc<Shared>,
    outgoing: Mutex<Outgoing>,
    /// Something was put into a lane, by its number.
    work: Vec<Notify>,
    pens: Vec<Pen>,
    /// Reads of what came in lanes of messages.
    heard: AtomicU64,
    grant: Mutex<Grant>,
    questions: Mutex<Questions>,
    /// Something was asked.
    asked: Notify,
    /// How often the peer may ask.
    rate: Mutex<TokenBucket>,
    /// What it asks beyond that.
    inquiries: Inquiries,
    pings: Mutex<Pings>,
    round_trip: Mutex<Option<Duration>>,
    /// Pings of the peer that a worker has still to answer.
    pongs_owed: AtomicUsize,
    clock: Mutex<Clock>,
    health: Mutex<Health>,
    /// The clock has changed.
    beat: Notify,
    parting: Mutex<Parting>,
    parking: Parking,
    /// Questions of the peer that have not got their outcome.
    served: Arc<AtomicUsize>,
    guests: Guests,
    ties: Mutex<Ties>,
    brakes: Brakes,
    /// The addresses under which this node is in use here.
    users: Mutex<Users>,
    room: Room,
    /// Lost messages that the node knows of.
    accounted: Mutex<usize>,
    ended: Shown<Option<End>>,
    gone: Shown<bool>,
}

/// Using the link.
impl Link {
    /// Queues a message, or hands it back. Returns the lane to [`rouse`](Self::rouse), if there is one.
    pub(super) fn queue(&self, pid: Pid, data: Bytes) -> Result<Option<usize>, (Refusal, Bytes)> {
        if data.len() > self.agreed.max_sent {
            return Err((Refusal::TooLarge(self.agreed.max_sent), data));
        }
        self.out().push_message(pid, data)
    }

    /// The lane of an actor of the peer.
    pub(super) fn lane_of(&self, pid: Pid) -> usize {
        self.out().lane_of(Some(pid))
    }

    /// The longest message that the peer takes.
    pub(super) const fn max_sent(&self) -> usize {
        self.agreed.max_sent
    }

    /// Queues a message that was accepted before the link was up; it is no longer than
    /// [`max_sent`](Self::max_sent).
    pub(super) fn admit(&self, pid: Pid, data: Bytes) {
        let lane = self.out().admit(pid, data);
        self.work[lane].notify_one();
    }

    /// Asks for the PID of a name; at the bound of unanswered questions (L19) the reply comes back.
    pub(super) fn resolve(&self, addr: &NodeAddr, name: &str, reply: Reply) -> Result<(), Reply> {
        let rid = lock(&self.questions).ask(addr, reply)?;
        self.push(None, Frame::Resolve(Resolve { rid, from: None, name: Text16::from(name) }));
        if self.has_ended() {
            self.refuse_questions("the link has ended");
        }
        Ok(())
    }

    /// Monitors an actor; `id` is not used twice.
    pub(super) fn monitor(&self, id: u64, pid: Pid, from: Option<Pid>) {
        self.push(Some(pid), Frame::Monitor(Monitor { id, to: Some(pid), from, name: Text16::default() }));
    }

    pub(super) fn demonitor(&self, id: u64, pid: Pid) {
        self.push(Some(pid), Frame::Demonitor(Demonitor { id, to: Some(pid), from: None }));
    }

    /// Whether it may still be used.
    pub(super) fn is_up(&self) -> bool {
        !self.has_ended() && self.shared.links.get(self.id).is_some()
    }

    /// The nodes of which actors are known here.
    pub(super) fn neighbours(&self) -> &Neighbours {
        &self.shared.neighbours
    }

    /// Runs a task of the node.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.shared.spawn(task);
    }

    /// Ends the link; only the first reason counts.
    pub(super) fn end(&self, end: End) {
        self.ended.modify(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(end);
            first
        });
    }

    /// Waits until the link is over and what was read has taken effect.
    pub(super) async fn gone(&self) -> End {
        self.gone.wait_for(|gone| gone.then_some(())).await;
        self.how_it_ended()
    }

    /// Why it is over.
    pub(super) fn how_it_ended(&self) -> End {
        self.ended.read().clone().unwrap_or(End::Left)
    }

    /// Whether nothing more is to be put into it.
    pub(super) fn is_gone(&self) -> bool {
        *self.gone.read()
    }

    pub(super) fn has_room(&self, len: usize) -> bool {
        self.out().has_room(len)
    }

    pub(super) fn is_drained(&self) -> bool {
        self.out().load().messages == 0
    }

    pub(super) fn load(&self) -> Load {
        self.out().load()
    }

    /// Messages written, and messages lost before they were.
    pub(super) fn counts(&self) -> (u64, u64) {
        let out = self.out();
        (out.sent(), out.dead_letters())
    }

    /// Messages that the peer has not confirmed.
    pub(super) fn unconfirmed(&self) -> usize {
        let (sent, dead) = self.counts();
        let said = lock(&self.parting).confirmed().unwrap_or(0);
        let confirmed = said.max(self.out().confirmed());
        let written = usize::try_from(dead + sent.saturating_sub(confirmed)).unwrap_or(usize::MAX);
        self.load().messages + written
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        *lock(&self.round_trip)
    }
}

/// For the tasks of the link.
impl Link {
    fn new(
        shared: Arc<Shared>,
        id: Id,
        peer: Life,
        identity: Option<PeerIdentity>,
        (addr, hello): (NodeAddr, &Hello),
        agreed: Agreed,
    ) -> Self {
        let config = &shared.config;
        let most = Load { messages: config.outbound_messages, bytes: config.outbound_bytes };
        let allowance = Allowance::new(agreed.credit_messages, agreed.credit_bytes);
        let lanes = 1 + usize::from(agreed.lanes) + usize::from(agreed.bulk_slots > 0);
        let mut outgoing = Outgoing::new(
            most,
            (agreed.lanes, agreed.bulk_slots),
            agreed.max_chunk.map_or(usize::MAX, |_| config.bulk_above.min(agreed.max_whole)),
            allowance,
            shared.budget.clone(),
        );
        if let Some(longest) = agreed.max_chunk {
            outgoing.limit_chunks(longest);
        }
        Self {
            outgoing: Mutex::new(outgoing),
            work: (0..lanes).map(|_| Notify::new()).collect(),
            pens: (0..lanes).map(|_| Pen::default()).collect(),
            heard: AtomicU64::new(0),
            grant: Mutex::new(Grant::new(
                config.credit_messages.into(),
                config.credit_bytes.into(),
                greeting::max_frame(config) as u64,
            )),
            questions: Mutex::default(),
            asked: Notify::new(),
            rate: throttle::questions(now()),
            inquiries: Inquiries::new(shared.budget.clone()),
            pings: Mutex::default(),
            round_trip: Mutex::default(),
            pongs_owed: AtomicUsize::new(0),
            clock: Mutex::new(Clock::new(config.heartbeat, config.down_after, now())),
            health: Mutex::default(),
            beat: Notify::new(),
            parting: Mutex::new(Parting::new(shared.links.me().life, peer, lanes)),
            parking: Parking::new(shared.budget.clone(), shared.budget.of_one_peer()),
            served: Arc::default(),
            guests: Guests::default(),
            ties: Mutex::default(),
            brakes: Brakes::default(),
            users: Mutex::default(),
            room: Room::default(),
            accounted: Mutex::default(),
            ended: Shown::new(None),
            gone: Shown::new(false),
            shared,
            id,
            peer,
            identity,
            addr,
            advertised: hello.advertised.as_str().parse().ok(),
            agreed,
        }
    }

    /// Queues a frame in the lane of `to`. A peer that reads far too little of them is given up.
    fn push(&self, to: Option<Pid>, frame: Frame) {
        if let Some(lane) = self.put(to, frame) {
            self.work[lane].notify_one();
        }
    }

    /// As [`push`](Self::push), and writes it if that is possible; to be called with no lock held.
    fn push_at_once(&self, to: Option<Pid>, frame: Frame) {
        if let Some(lane) = self.put(to, frame) {
            self.rouse(lane);
        }
    }

    fn put(&self, to: Option<Pid>, frame: Frame) -> Option<usize> {
        let pushed = self.out().push(to, frame);
        if pushed.is_none() {
            let reason = "it does not read what it is told".to_owned();
            self.end(End::Refused(CloseCode::Overloaded, reason));
        }
        pushed
    }

    async fn ended(&self) -> End {
        self.ended.wait_for(Clone::clone).await
    }

    /// Whether nothing more is to be put into it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.read().is_some()
    }

    /// Moves what may be written next into `batch`, about `most` bytes. What it returns goes to
    /// [`written`](Self::written) once it is.
    fn fill(&self, lane: usize, batch: &mut Batch, most: usize) -> Load {
        let (load, freed, relieved, late) = {
            let mut out = self.out();
            (out.fill(lane, batch, most, now()), out.take_freed(), out.take_relieved(), out.take_late())
        };
        self.ran_out(late);
        if freed {
            // What was dropped may be all that the end of the bulk lane waited for.
            self.work.iter().for_each(Notify::notify_one);
        }
        if freed || relieved {
            self.has_released();
        }
        load
    }

    /// A batch of a lane was written. True if no message is left.
    fn written(&self, lane: usize, load: Load) -> bool {
        let (bulk, bulk_lane, drained, relieved) = {
            let mut out = self.out();
            let bulk = out.written(lane, load);
            (bulk, out.bulk_lane(), out.load().messages == 0, out.take_relieved())
        };
        if bulk {
            self.work[bulk_lane].notify_one();
        }
        if relieved {
            self.has_released();
        } else if load.messages > 0 {
            self.has_written(drained);
        }
        drained
    }

    /// XON came.
    fn release(&self, pid: Pid) {
        let lane = self.out().release(pid);
        self.work[lane].notify_one();
        self.has_released();
    }

    fn credit(&self, credit: &Credit) {
        self.out().credit(credit);
        self.work.iter().for_each(Notify::notify_one);
    }

    /// Messages came and are in their mailboxes.
    fn received(&self, messages: u64, bytes: u64) -> Result<(), End> {
        let (renewed, received) = {
            let mut grant = lock(&self.grant);
            let violated = |_| End::Refused(CloseCode::CreditViolated, "it sent more than it may".to_owned());
            grant.received(messages, bytes).map_err(violated)?;
            (grant.renew(), grant.total())
        };
        let received = received.saturating_sub(self.parking.outstanding());
        if let Some((msgs, bytes)) = renewed {
            self.push(None, Frame::Credit(Credit { msgs, bytes, received }));
        }
        Ok(())
    }

    /// Says what is lost, once each.
    fn account(&self) {
        let mut known = lock(&self.accounted);
        let lost = self.unconfirmed();
        self.shared.lose(lost.saturating_sub(*known));
        *known = lost;
    }

    fn refuse_questions(&self, reason: &str) {
        let open = lock(&self.questions).take();
        open.for_each(|question| question.refuse(reason));
    }

    /// Accounts for what was put into a link that was over already.
    pub(super) fn sweep(&self) {
        self.out().abandon();
        self.account();
        self.refuse_questions("the link has ended");
    }

    /// The last thing that happens: whoever waits for something of this link is told.
    fn bury(&self) {
        let end = self.how_it_ended();
        let reason = end.reason().to_string();
        let messages = self.out().abandon();
        if messages > 0
            && let Some(left_out) = self.shared.log.admit(&self.peer.node.to_string())
        {
            let peer = self.peer.node;
            tracing::warn!(%peer, messages, %reason, left_out, "messages became dead letters");
        }
        lock(&self.pings).clear();
        self.guests.clear(self.shared.local.as_ref());
        self.cut_ties(&end.reason().loss());
        self.account();
        self.shared.links.dead(self.id, self.round_trip().is_some());
        let left = matches!(end, End::Left) || lock(&self.parting).peer_leaves();
        self.shared.neighbours.unlinked(self, left, &end.reason().loss());
        self.for_users(|peer| peer.link_is_over(self, &end));
        self.room.wake_all();
        // Whoever asks again at once is to find no link that is over.
        self.refuse_questions(&reason);
        self.refuse_asks(&reason);
        self.obituary(&end);
        self.gone.set(true);
    }

    fn out(&self) -> MutexGuard<'_, Outgoing> {
        lock(&self.outgoing)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
