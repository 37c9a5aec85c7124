//! The task of a peer: makes connections while there is work, and gives what waits to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Peer, Reply};
use crate::config::Level;
use crate::node::dialler;
use crate::node::error::DownReason;
use crate::node::here::Here;
use crate::node::lane::{DataLane, Ended};
use crate::node::link::{Dialled, End, Link, negotiate};
use crate::node::outbound::{Item, Leftover, Refusal};
use crate::node::shared::{Stage, now};
use crate::node::watch::Start;
use crate::node::watcher;
use crate::transport::{CloseCode, Lane, LaneClass};

impl Peer {
    /// The link to the peer is over. Whoever monitors is told, once.
    pub(in crate::node) fn link_is_over(&self, link: &Link, end: &End) {
        {
            let _in_order = self.outbound();
            if !self.standing.unlink(link) {
                return;
            }
        }
        match end {
            End::Left => {
                self.outbound().rested();
                self.link_has_released();
            }
            _ => self.broke(Vec::new(), format!("{}; try again, as the node may be back", end.reason())),
        }
        self.watch.lost(&end.reason());
    }

    /// Keeps a connection open while there is work.
    pub(super) async fn run(self: Arc<Self>) {
        let connections = async {
            while self.is_needed().await {
                let wanted = self.wanted.swap(false, Ordering::AcqRel);
                self.carry(wanted).await;
            }
        };
        tokio::select! {
            biased;
            () = self.shared.at(Stage::Closed) => {}
            () = connections => {}
        }
        self.ended.set(true);
    }

    async fn is_needed(&self) -> bool {
        while !self.wanted.load(Ordering::Acquire) || self.shared.stage() != Stage::Running {
            {
                let out = self.outbound();
                if out.has_work() || out.is_closed() {
                    return out.has_work();
                }
            }
            tokio::select! {
                biased;
                () = self.work.notified() => {}
                () = self.shared.at(Stage::Draining) => return !self.outbound().close_if_idle(),
            }
        }
        true
    }

    /// One connection from beginning to end.
    async fn carry(self: &Arc<Self>, wanted: bool) {
        if let Some(link) = self.standing.link() {
            // The node has connected by itself.
            return self.linked(link).await;
        }
        self.outbound().dialling();
        let dialled = tokio::select! {
            biased;
            dialled = self.dial() => dialled,
            // Who wanted it is not to wait for it either.
            () = self.is_not_needed() => return self.standing.failed("the node is shut down"),
        };
        match dialled {
            // The node has connected by itself meanwhile.
            Err(_) if self.standing.link().is_some() => {}
            Err(reason) => {
                self.broke(Vec::new(), reason.clone());
                self.standing.failed(&reason);
                self.missed(&DownReason::Refused(reason));
                if !wanted {
                    // Who wanted it is told already.
                    self.watch.probe();
                }
            }
            Ok((dialled, Dialled::One(lane))) => {
                self.shared.whereabouts.found(self, None);
                self.shared.neighbours.moved_in(self, None);
                self.attend();
                self.direct(&dialled, lane).await;
            }
            Ok((dialled, Dialled::Here)) => {
                self.dialler.forget(&dialled);
                drop(dialled);
                self.shared.whereabouts.found(self, None);
                self.shared.neighbours.moved_in(self, None);
                self.here();
                self.shared.at(Stage::Draining).await;
                self.outbound().close();
            }
            Ok((dialled, Dialled::Two(link))) => {
                self.dialler.forget(&dialled);
                // The link has it, or it gave way: then its place among the connections is free again.
                drop(dialled);
                self.shared.whereabouts.found(self, Some(link.peer.node));
                self.shared.neighbours.moved_in(self, Some(link.peer));
                self.linked(link).await;
            }
        }
    }

    /// Connects, and finds out which level is spoken.
    async fn dial(self: &Arc<Self>) -> Result<(dialler::Dialled, Dialled), String> {
        let (dialled, lane) = self.dialler.open_lane(LaneClass::Control).await?;
        let asks = dialled.connection.level().map_or(!self.standing.is_known_one(now()), |l| l == Level::Two);
        if !asks {
            return Ok((dialled, Dialled::One(lane)));
        }
        let limit = self.shared.config.connect_timeout;
        let reason = match self.shared.within(limit, negotiate(&self.shared, &dialled, self, lane)).await {
            Ok(Ok(found)) => return Ok((dialled, found)),
            Ok(Err(reason)) => reason,
            Err(_) => format!("it did not greet us within {limit:?}; does a node listen there?"),
        };
        self.dialler.forget(&dialled);
        dialled.connection.close(CloseCode::Timeout, &reason);
        Err(reason)
    }

    /// The peer, of level 1, is there. If anybody follows the nodes it is pinged from now on.
    pub(in crate::node) fn attend(self: &Arc<Self>) {
        self.shared.tell(|census| census.reached(&self.addr));
        if self.shared.news.is_followed()
            && let Start::Needed = self.watch.attend()
        {
            self.shared.spawn(watcher::watch(self.clone()));
        }
    }

    /// One data lane of level 1.
    async fn direct(&self, dialled: &dialler::Dialled, lane: Lane) {
        {
            let mut out = self.outbound();
            out.opened(now());
            self.standing.direct(now());
        }
        let data = DataLane::new(self);
        let ended = data.run(lane).await;
        self.standing.not_direct(data.was_used() || matches!(ended, Ended::Broke(_)));
        match ended {
            Ended::Rested => self.outbound().rested(),
            Ended::Broke(breakage) => {
                self.broke(data.abandon(), format!("{}; try again, as the node may be back", breakage.text));
                // Messages may be lost here, and who monitors is owed the news (G4), though the peer
                // may be alive.
                let reason = breakage.reason();
                self.watch.lost(&reason);
                self.missed(&reason);
                self.watch.probe();
            }
        }
        self.dialler.release(dialled).await;
    }

    /// Uses a link until it is over, or the node drains.
    async fn linked(self: &Arc<Self>, link: Arc<Link>) {
        if let Some(other) = self.standing.link().filter(|other| other.id != link.id) {
            // The address was taken for that of another node.
            self.link_is_over(&other, &other.how_it_ended());
        }
        if !self.attach(&link) {
            // What waits goes into the next one, which is not made while the other node holds this one.
            link.gone().await;
            return self.outbound().rested();
        }
        tokio::select! {
            biased;
            () = self.shared.at(Stage::Draining) => self.shut(),
            // It may have been over before it knew of us.
            end = link.gone() => self.link_is_over(&link, &end),
        }
    }

    /// Moves everything that waits into the link, in its order, and whatever comes from now on; done twice, it
    /// does nothing. Nor does it where something else is up. False if the link takes nothing more: then everything
    /// waits on.
    pub(in crate::node) fn attach(self: &Arc<Self>, link: &Arc<Link>) -> bool {
        if let Some(earlier) =
            self.standing.link().filter(|earlier| earlier.id != link.id && earlier.has_ended())
        {
            // Whoever is to hear of that has not yet heard.
            self.link_is_over(&earlier, &earlier.how_it_ended());
        }
        let mut out = self.outbound();
        loop {
            if self.standing.up().is_some() {
                return true;
            }
            let lost = out.drop_larger(link.max_sent());
            if lost == 0 {
                break;
            }
            drop(out);
            self.were_too_large(lost, link.max_sent());
            out = self.outbound();
        }
        if !link.adopt(self) {
            return false;
        }
        out.opened(now());
        for (id, pid, from) in self.watch.monitors() {
            link.monitor(id, pid, from);
        }
        let mut gone = 0;
        for item in out.take_all() {
            match item {
                Item::Message { life: Some(life), .. } if life != link.peer => gone += 1,
                Item::Message { to, data, .. } => link.admit(to, data),
                Item::Resolve { name, reply } => {
                    if let Err(reply) = link.resolve(&self.addr, &name, reply) {
                        // The asker may have given up.
                        let _ = reply.send(Err(self.not_resolved(Refusal::Busy)));
                    }
                }
            }
        }
        out.lost(gone);
        self.standing.linked(link.clone());
        if link.is_gone() {
            // It was over before it knew of us.
            link.sweep();
        }
        true
    }

    /// Messages were taken before it was known how little the peer takes. Whoever monitors is owed the
    /// news (G4).
    fn were_too_large(&self, messages: usize, max: usize) {
        self.shared.lose(messages);
        let reason = format!("{messages} messages were larger than the {max} bytes that it takes");
        if let Some(left_out) = self.shared.log.admit(self.addr.host()) {
            tracing::warn!(peer = %self.addr, %reason, left_out, "messages became dead letters");
        }
        self.watch.lost(&DownReason::Unreachable(reason));
    }

    /// Delivers everything that waits, and whatever comes from now on: the address is this node's.
    fn here(self: &Arc<Self>) {
        let mut out = self.outbound();
        out.opened(now());
        let here = Here(&self.shared);
        for (id, pid, _) in self.watch.monitors() {
            here.monitor(Arc::downgrade(self), id, pid);
        }
        let mut gone = 0;
        for item in out.take_all() {
            match item {
                Item::Message { life: Some(_), .. } => gone += 1,
                Item::Message { to, data, .. } => here.send(to, data),
                Item::Resolve { name, reply } => here.resolve(&name, reply),
            }
        }
        out.lost(gone);
        self.standing.here();
    }

    /// Nothing of a broken connection is sent again (D11); whoever waits is told.
    fn broke(&self, unanswered: Vec<Reply>, reason: String) {
        let random = self.shared.chance.spread();
        let Leftover { messages, resolves } = self.outbound().broke(now(), random, reason.clone());
        self.shared.lose(messages);
        if messages > 0
            && let Some(left_out) = self.shared.log.admit(self.addr.host())
        {
            let peer = &self.addr;
            tracing::warn!(%peer, messages, %reason, left_out, "messages became dead letters");
        }
        self.refuse(unanswered, &reason);
        self.refuse(resolves, &reason);
        self.room.wake_all();
        self.drained.notify_waiters();
    }
}
