//! One peer: its queue, its data lane, and the task that keeps the lane open while there is work.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

use super::PeerInfo;
use super::backoff::Gate;
use super::dialler::Dialler;
use super::error::{DownReason, RemoteSendError, ResolveError};
use super::lane::{DataLane, Ended};
use super::outbound::{Leftover, Load, MAX_RESOLVES, Outbound, Refusal};
use super::shared::{Shared, Stage, now, random};
use super::watch::Watch;
use crate::pid::Pid;
use crate::transport::{LaneClass, NodeAddr};
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
    outbound: Mutex<Outbound<Reply>>,
    /// Something was queued.
    work: Notify,
    /// The queue has room again; woken one by one, each wakes the next while there is room.
    room: Notify,
    /// Everything was written.
    drained: Notify,
    /// The task of this peer has ended.
    ended: watch::Sender<bool>,
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
            watch: Watch::new(addr.clone()),
            outbound: Mutex::new(Outbound::new(most, Gate::new(config.reconnect_first, cap))),
            work: Notify::new(),
            room: Notify::new(),
            drained: Notify::new(),
            ended: watch::Sender::new(false),
            shared: shared.clone(),
            addr,
        });
        shared.spawn(peer.clone().run());
        peer
    }

    /// Queues a message, or hands it back at once.
    pub(super) fn try_send(&self, pid: Pid, message: Bytes) -> Result<(), RemoteSendError> {
        let pushed = self.outbound().push_message(now(), pid, message);
        let (refusal, message) = match pushed {
            Ok(()) => {
                self.work.notify_one();
                return Ok(());
            }
            Err(refused) => refused,
        };
        let addr = self.addr.clone();
        Err(match refusal {
            Refusal::Busy => RemoteSendError::Busy { addr, message },
            Refusal::NoConnection(reason) => RemoteSendError::NoConnection { addr, reason, message },
            Refusal::Closed => RemoteSendError::Closed { message },
        })
    }

    /// Queues a message, waiting for room.
    pub(super) async fn send(&self, pid: Pid, mut message: Bytes) -> Result<(), RemoteSendError> {
        let len = message.len();
        let deadline = self.shared.within(self.shared.config.send_timeout, std::future::pending::<()>());
        tokio::pin!(deadline);
        loop {
            let room = self.room.notified();
            message = match self.try_send(pid, message) {
                Err(RemoteSendError::Busy { message, .. }) => message,
                done => {
                    self.wake_next(len);
                    return done;
                }
            };
            tokio::select! {
                biased;
                () = room => {}
                _ = &mut deadline => return self.try_send(pid, message),
            }
        }
    }

    /// Asks for the PID of `name`, behind everything sent before.
    pub(super) async fn resolve(&self, name: String) -> Result<Option<Pid>, ResolveError> {
        let (reply, answer) = oneshot::channel();
        let pushed = self.outbound().push_resolve(now(), name, reply);
        pushed.map_err(|refusal| self.not_resolved(refusal))?;
        self.work.notify_one();
        let after = self.shared.config.request_timeout;
        match self.shared.within(after, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ResolveError::Closed),
            Err(_) => Err(self.too_late(after)),
        }
    }

    /// Waits until everything queued has been written.
    pub(super) async fn drain(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.outbound().is_drained() {
                return;
            }
            drained.await;
        }
    }

    /// Waits until the task of this peer has ended: in a draining node, when everything was written
    /// and the peer has read it, or when the connection broke.
    pub(super) async fn ended(&self) {
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Messages not written yet.
    pub(super) fn unwritten(&self) -> usize {
        self.outbound().load().messages
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        self.outbound().close();
        self.room.notify_waiters();
        self.work.notify_one();
    }

    /// Drops what is not written; returns the number of messages.
    pub(super) fn abandon(&self) -> usize {
        let left = self.outbound().abandon();
        self.refuse(left.resolves, "the node is shut down");
        left.messages
    }

    pub(super) fn info(&self) -> PeerInfo {
        let identity = self.dialler.identity();
        let (monitors, round_trip) = self.watch.info();
        let out = self.outbound();
        PeerInfo {
            addr: self.addr.clone(),
            identity,
            connected: out.is_up(),
            queued_messages: out.load().messages,
            queued_bytes: out.load().bytes,
            sent: out.sent(),
            dead_letters: out.dead_letters(),
            monitors,
            round_trip,
        }
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
                () = self.work.notified() => {}
                () = self.shared.at(Stage::Draining) => return !self.outbound().close_if_idle(),
            }
        }
    }

    /// A batch was written.
    pub(super) fn written(&self, load: Load) {
        let drained = {
            let mut out = self.outbound();
            out.written(load);
            out.is_drained()
        };
        self.room.notify_one();
        if drained {
            self.drained.notify_waiters();
        }
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
    }

    /// The peer could not be reached over its heartbeat lane.
    pub(super) fn unreachable(&self, reason: &str) {
        self.outbound().unreachable(now(), random(), reason.to_owned());
    }

    /// When the peer may be dialled again, if not now.
    pub(super) fn dial_again_at(&self) -> Option<Instant> {
        self.outbound().opens_at(now())
    }

    /// Keeps a data lane open while there is work.
    async fn run(self: Arc<Self>) {
        let lanes = async {
            while self.more_work().await {
                self.carry().await;
            }
        };
        tokio::select! {
            biased;
            () = self.shared.at(Stage::Closed) => {}
            () = lanes => {}
        }
        self.ended.send_replace(true);
    }

    /// One lane from beginning to end.
    async fn carry(&self) {
        self.outbound().dialling();
        let (dialled, lane) = match self.dialler.open_lane(LaneClass::Control).await {
            Ok(opened) => opened,
            Err(reason) => return self.broke(Vec::new(), reason),
        };
        self.outbound().opened(now());
        let data = DataLane::new(self);
        match data.run(lane).await {
            Ended::Rested => self.outbound().rested(),
            Ended::Broke(reason) => {
                self.broke(data.abandon(), format!("{reason}; try again, as the node may be back"));
                // Messages may be lost here, and who monitors is owed the news (G4), though the peer
                // may be alive.
                self.watch.lost(&DownReason::Lost(reason));
            }
        }
        self.dialler.release(&dialled).await;
    }

    /// Nothing of a broken lane is sent again (D11); whoever waits is told.
    fn broke(&self, unanswered: Vec<Reply>, reason: String) {
        let Leftover { messages, resolves } = self.outbound().broke(now(), random(), reason.clone());
        if messages > 0
            && let Some(left_out) = self.shared.log.admit()
        {
            let peer = &self.addr;
            tracing::warn!(%peer, messages, %reason, left_out, "messages became dead letters");
        }
        self.refuse(unanswered, &reason);
        self.refuse(resolves, &reason);
        self.room.notify_waiters();
        self.drained.notify_waiters();
        self.watch.probe();
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
            Refusal::Busy => ResolveError::Busy { addr, max: MAX_RESOLVES },
            Refusal::NoConnection(reason) => ResolveError::NoConnection { addr, reason },
            Refusal::Closed => ResolveError::Closed,
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

    /// Passes the news of room on to the next who waits.
    fn wake_next(&self, len: usize) {
        if self.outbound().has_room(len) {
            self.room.notify_one();
        }
    }

    fn outbound(&self) -> MutexGuard<'_, Outbound<Reply>> {
        self.outbound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
