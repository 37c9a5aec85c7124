//! One peer, by its address: the calls about it, and what waits for a connection. The task that makes
//! connections is in `task`, and sending in `sending`.

mod sending;
mod task;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, oneshot};

use super::PeerInfo;
use super::backoff::Gate;
use super::dialler::Dialler;
use super::error::{DownReason, ResolveError};
use super::here::Here;
use super::outbound::{Load, MAX_RESOLVES, Outbound, Refusal};
use super::shared::{Shared, Stage, now};
use super::shown::Shown;
use super::standing::{Standing, Up};
use super::watch::Watch;
use crate::config::Level;
use crate::pid::Pid;
use crate::transport::NodeAddr;
use crate::wire::{Answers, Batch};

/// The longest pause before a peer on this machine is dialled again (L28).
const LOOPBACK_CAP: Duration = Duration::from_millis(500);

/// Where the answer to a resolve goes.
pub(super) type Reply = oneshot::Sender<Result<Option<Pid>, ResolveError>>;

pub(super) struct Peer {
    pub(super) addr: NodeAddr,
    pub(super) shared: Arc<Shared>,
    pub(super) dialler: Dialler,
    pub(super) watch: Watch,
    /// How things stand with the peer. Changed under the lock of `outbound` only.
    pub(super) standing: Standing,
    outbound: Mutex<Outbound<Reply>>,
    /// Something was queued, or a connection is wanted.
    work: Notify,
    wanted: AtomicBool,
    /// Somebody has asked for this peer since that was last looked at.
    used: AtomicBool,
    /// The queue has room again; woken one by one, each wakes the next while there is room.
    room: Notify,
    /// An actor that did not keep up has caught up, or the link is gone.
    released: Arc<Notify>,
    /// Everything was written.
    drained: Notify,
    /// The task of this peer has ended.
    ended: Shown<bool>,
    /// Places for those who look for a name that is followed: half of those for resolves.
    pub(super) seekers: Semaphore,
}

impl Peer {
    /// A peer and its task.
    pub(super) fn start(addr: NodeAddr, shared: &Arc<Shared>) -> Arc<Self> {
        let config = &shared.config;
        let cap =
            if addr.is_loopback() { config.reconnect_cap.min(LOOPBACK_CAP) } else { config.reconnect_cap };
        let most = Load { messages: config.outbound_messages, bytes: config.outbound_bytes };
        let peer = Arc::new(Self {
            dialler: Dialler::new(addr.clone(), shared.clone()),
            watch: Watch::new(addr.clone(), shared.news.clone()),
            standing: Standing::new(config.level),
            outbound: Mutex::new(Outbound::new(
                most,
                Gate::new(config.reconnect_first, cap),
                shared.budget.clone(),
            )),
            work: Notify::new(),
            wanted: AtomicBool::new(false),
            used: AtomicBool::new(true),
            room: Notify::new(),
            released: Arc::default(),
            drained: Notify::new(),
            ended: Shown::new(false),
            seekers: Semaphore::new(MAX_RESOLVES / 2),
            shared: shared.clone(),
            addr,
        });
        shared.spawn(peer.clone().run());
        peer
    }

    /// Notes that somebody asks for it.
    pub(super) fn use_now(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether anybody has asked for it since the last call.
    pub(super) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Whether there is nothing that would be forgotten with it.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.standing.up().is_none()
            && (!self.standing.is_only_one() || self.shared.config.level == Level::One)
            && !self.watch.is_busy()
            && !self.wanted.load(Ordering::Acquire)
            && self.outbound().is_idle(now)
    }

    /// A connection, made if there is none.
    pub(super) async fn reached_now(&self) -> Result<Up, ResolveError> {
        if let Some(up) = self.standing.up() {
            return Ok(up);
        }
        let (addr, limit) = (self.addr.clone(), self.shared.config.connect_timeout);
        let reason = match self.shared.within(limit, self.connect()).await {
            Ok(Ok(up)) => return Ok(up),
            Ok(Err(reason)) => reason,
            Err(_) => format!("none within {limit:?}; check that the node runs there, and try again"),
        };
        Err(ResolveError::NoConnection { addr, reason })
    }

    /// Has a connection made for who comes next, unless the last attempt failed a moment ago (L28); why
    /// there is none now.
    pub(super) fn revive(&self) -> String {
        let shut = self.outbound().shut(now());
        shut.unwrap_or_else(|| {
            self.wanted.store(true, Ordering::Release);
            self.work.notify_one();
            format!("the connection to {} was lost and is made anew: try again", self.addr)
        })
    }

    /// Asks for the PID of `name`; at level 1 behind everything sent before.
    pub(super) async fn resolve(&self, name: String) -> Result<Option<Pid>, ResolveError> {
        let (reply, answer) = oneshot::channel();
        self.ask(name, reply).map_err(|refusal| self.not_resolved(refusal))?;
        let after = self.shared.config.request_timeout;
        match self.shared.within(after, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ResolveError::Closed),
            Err(_) => Err(self.too_late(after)),
        }
    }

    fn ask(&self, name: String, reply: Reply) -> Result<(), Refusal> {
        let mut out = self.outbound();
        match self.standing.up() {
            Some(Up::Two(link)) if !out.is_closed() => {
                link.resolve(&self.addr, &name, reply).map_err(|_| Refusal::Busy)
            }
            Some(Up::Here) if !out.is_closed() => {
                Here(&self.shared).resolve(&name, reply);
                Ok(())
            }
            _ => out.push_resolve(now(), name, reply).map(|()| self.work.notify_one()),
        }
    }

    /// Tells the peer of a monitor, if it is one that can be told; otherwise that is done when it is
    /// linked.
    pub(super) fn monitor(self: &Arc<Self>, id: u64, pid: Pid, from: Option<Pid>) {
        let _in_order = self.outbound();
        match self.standing.up() {
            Some(Up::Two(link)) => link.monitor(id, pid, from),
            Some(Up::Here) => Here(&self.shared).monitor(Arc::downgrade(self), id, pid),
            Some(Up::One) | None => {}
        }
    }

    /// Removes a monitor; false if it has fired.
    pub(super) fn demonitor(&self, id: u64) -> bool {
        let removed = self.watch.demonitor(id);
        if let Some(pid) = removed
            && let Some(link) = self.standing.link()
        {
            link.demonitor(id, pid);
        }
        removed.is_some()
    }

    /// Waits until everything queued has been written.
    pub(super) async fn drain(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.is_drained() {
                return;
            }
            drained.await;
        }
    }

    /// Waits until the task of this peer has ended: in a draining node, when everything was written
    /// and the peer has read it, or when the connection broke. A link ends by itself.
    pub(super) async fn ended(&self) {
        self.ended.wait_for(|ended| ended.then_some(())).await;
    }

    /// In a draining node: waits until nothing more will be put into a link.
    pub(super) async fn handed_over(&self) {
        tokio::select! {
            biased;
            () = self.ended() => {}
            () = self.standing.is_direct() => {}
        }
    }

    /// Messages not written yet, those of a link apart.
    pub(super) fn unwritten(&self) -> usize {
        self.outbound().load().messages
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.shut();
        self.room.notify_waiters();
        self.released.notify_waiters();
        self.work.notify_one();
    }

    /// Refuses what comes from now on.
    fn shut(&self) {
        let mut out = self.outbound();
        out.close();
        self.standing.close();
    }

    /// Drops what is not written; returns the number of messages.
    pub(super) fn abandon(&self) -> usize {
        let left = self.outbound().abandon();
        self.refuse(left.resolves, "the node is shut down");
        left.messages
    }

    pub(super) fn info(&self) -> PeerInfo {
        let (monitors, round_trip) = self.watch.info();
        let link = self.standing.link();
        let on_link = link.as_ref().map(|link| link.load()).unwrap_or_default();
        let (sent, dead_letters) = self.standing.counts();
        let out = self.outbound();
        PeerInfo {
            addr: self.addr.clone(),
            identity: link
                .as_ref()
                .and_then(|link| link.identity.clone())
                .or_else(|| self.dialler.identity()),
            connected: out.is_up(),
            level: self.standing.level(now()),
            stalled: link.as_ref().is_some_and(|link| link.stalled().is_some()),
            queued_messages: out.load().messages + on_link.messages,
            queued_bytes: out.load().bytes + on_link.bytes,
            sent: out.sent() + sent,
            dead_letters: out.dead_letters() + dead_letters,
            monitors,
            round_trip: link.and_then(|link| link.round_trip()).or(round_trip),
        }
    }

    /// A connection, made if there is none; the error says why not.
    pub(super) async fn connect(&self) -> Result<Up, String> {
        self.standing
            .connected(now(), || {
                self.wanted.store(true, Ordering::Release);
                self.work.notify_one();
            })
            .await
    }

    /// Moves queued items into `batch`.
    pub(super) fn fill(&self, batch: &mut Batch, answers: &mut Answers<Reply>) -> Load {
        self.outbound().fill(batch, answers)
    }

    /// Waits for something to write; false once the node drains and there is nothing left, after
    /// which nothing more is taken.
    pub(super) async fn more_work(&self) -> bool {
        loop {
            if self.outbound().has_work() {
                return true;
            }
            tokio::select! {
                biased;
                () = self.work.notified() => {}
                () = self.shared.at(Stage::Draining) => return !self.outbound().close_if_idle(),
            }
        }
    }

    /// A batch was written.
    pub(super) fn written(&self, load: Load) {
        self.outbound().written(load);
        self.has_room();
    }

    /// The link has written some messages, and perhaps all. Unless it has, none of the locks is taken that
    /// senders need.
    pub(super) fn link_has_written(&self, perhaps_all: bool) {
        if perhaps_all {
            self.has_room();
        } else {
            self.room.notify_one();
        }
    }

    /// There may be room for receivers for which there was none.
    pub(super) fn link_has_released(&self) {
        self.released.notify_waiters();
        self.has_room();
    }

    /// An answer came.
    pub(super) fn answer(&self, reply: Reply, pid: Option<Pid>) {
        self.outbound().answered(1);
        // The asker may have given up.
        let _ = reply.send(Ok(pid));
    }

    /// The peer was reached over its heartbeat lane.
    pub(super) fn reached(&self) {
        self.outbound().reached();
        self.shared.tell(|census| census.reached(&self.addr));
    }

    /// At level 1: the peer is gone, or a connection to it broke.
    pub(super) fn missed(&self, reason: &DownReason) {
        self.shared.tell(|census| census.missed(&self.addr, reason.state()));
    }

    /// The peer could not be reached over its heartbeat lane.
    pub(super) fn unreachable(&self, reason: &str) {
        self.outbound().unreachable(now(), self.shared.chance.spread(), reason.to_owned());
    }

    /// When the peer may be dialled again, if not now.
    pub(super) fn dial_again_at(&self) -> Option<Instant> {
        self.outbound().opens_at(now())
    }

    fn refuse(&self, replies: Vec<Reply>, reason: &str) {
        for reply in replies {
            let error = ResolveError::NoConnection { addr: self.addr.clone(), reason: reason.to_owned() };
            // The asker may have given up.
            let _ = reply.send(Err(error));
        }
    }

    fn not_resolved(&self, refusal: Refusal) -> ResolveError {
        let addr = self.addr.clone();
        match refusal {
            Refusal::NoConnection(reason) => ResolveError::NoConnection { addr, reason },
            Refusal::Closed => ResolveError::Closed,
            _ => ResolveError::Busy { addr, max: MAX_RESOLVES },
        }
    }

    /// No answer in time: because nobody answers, or because there is no connection yet.
    fn too_late(&self, after: Duration) -> ResolveError {
        let addr = self.addr.clone();
        if self.outbound().is_up() {
            return ResolveError::Timeout { addr, after };
        }
        ResolveError::NoConnection {
            addr,
            reason: format!("none within {after:?}; check that the node runs there, and try again"),
        }
    }

    /// Tells who waits for room, and who waits until everything is written.
    fn has_room(&self) {
        self.room.notify_one();
        if self.is_drained() {
            self.drained.notify_waiters();
        }
    }

    fn is_drained(&self) -> bool {
        self.outbound().is_drained() && self.standing.link().is_none_or(|link| link.is_drained())
    }

    /// Passes the news of room on to the next who waits.
    fn wake_next(&self, len: usize) {
        let room = match self.standing.link() {
            Some(link) => link.has_room(len),
            None => self.outbound().has_room(len),
        };
        if room {
            self.room.notify_one();
        }
    }

    fn outbound(&self) -> MutexGuard<'_, Outbound<Reply>> {
        self.outbound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
