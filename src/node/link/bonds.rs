//! Monitors, links and exits between actors here and actors of the peer: what they say, and what is done
//! when the peer says it.

use std::sync::Arc;

use super::greeting::caps;
use super::guests::MAX_OF_TARGET;
use super::reason::{EXPLICIT, LINKED, STOP, from_wire, is_kill, to_wire};
use super::ties::{Linking, Lost, Pair, Watched};
use super::{Link, lock};
use crate::actor::{ExitReason, MonitorRef, Signal, Watcher};
use crate::node::proxy::neighbour;
use crate::pid::Pid;
use crate::wire::level2::{self, Demonitor, Down, Exit, Frame, Text16, Unlink, UnlinkAck};

/// What actors here do.
impl Link {
    /// Whether the peer can be told of links and exits.
    pub(in crate::node) fn takes_links(&self) -> bool {
        self.agreed.caps & caps::LINKS != 0
    }

    /// Monitors the actor `far`, for which `proxy` stands; for the proxy itself where nobody is named. Who
    /// monitors is told in any case.
    pub(in crate::node) fn watch(&self, proxy: Pid, far: Pid, monitor: MonitorRef, watcher: Option<Watcher>) {
        let id = monitor.as_u64();
        let from = watcher.as_ref().and_then(Watcher::actor);
        let noted = lock(&self.ties).watch(id, Watched { proxy, far, watcher });
        match noted {
            Ok(()) => self.monitor(id, far, from),
            // A proxy that is not told of its actor's end lives until its node is lost.
            Err(Watched { watcher: None, .. }) => {}
            Err(watched) => self.tell_down(id, watched, &ExitReason::NoConnection(self.why())),
        }
    }

    pub(in crate::node) fn unwatch(&self, monitor: MonitorRef) {
        let id = monitor.as_u64();
        let watched = lock(&self.ties).unwatch(id);
        if let Some(Watched { far, .. }) = watched {
            self.push(Some(far), Frame::Demonitor(Demonitor { id, to: Some(far), from: None }));
        }
    }

    /// Links `near` with `far`, for which `proxy` stands.
    pub(in crate::node) fn bond(&self, proxy: Pid, far: Pid, near: Pid) {
        let linking = lock(&self.ties).link(Pair { near, far }, proxy);
        match linking {
            Linking::Say => self.say_link(near, far),
            Linking::Quiet => {}
            Linking::Refused => self.tell_exit(near, proxy, ExitReason::NoConnection(self.why())),
        }
    }

    pub(in crate::node) fn unbond(&self, proxy: Pid, far: Pid, near: Pid) {
        let id = lock(&self.ties).unlink(Pair { near, far }, proxy);
        if let Some(id) = id {
            self.push(Some(far), Frame::Unlink(Unlink { id, to: Some(far), from: Some(near) }));
        }
    }

    /// `near`, which was linked with `far`, has ended.
    pub(in crate::node) fn bond_broke(&self, far: Pid, near: Pid, reason: &ExitReason) {
        let linked = lock(&self.ties).end(Pair { near, far });
        if !linked.is_empty() {
            self.say_exit(far, Some(near), LINKED, reason);
        }
    }

    /// An explicit exit signal.
    pub(in crate::node) fn exit(&self, far: Pid, from: Option<Pid>, reason: &ExitReason) {
        self.say_exit(far, from, EXPLICIT, reason);
    }

    /// Has `far` end once it has handled what was sent before.
    pub(in crate::node) fn stop(&self, far: Pid, reason: &ExitReason) {
        self.say_exit(far, None, STOP, reason);
    }

    fn say_link(&self, near: Pid, far: Pid) {
        self.push(Some(far), Frame::Link(level2::Link { to: Some(far), from: Some(near) }));
    }

    fn say_exit(&self, to: Pid, from: Option<Pid>, kind: u8, reason: &ExitReason) {
        let (reason, text) = to_wire(reason);
        let text = Text16::from(text.as_str());
        self.push(Some(to), Frame::Exit(Exit { to: Some(to), from, kind, reason, text }));
    }
}

/// What the peer says.
impl Link {
    /// DOWN came; `false` if it is of no monitor made here.
    pub(super) fn down(&self, frame: &Down) -> bool {
        let watched = lock(&self.ties).unwatch(frame.id);
        let known = watched.is_some();
        if let Some(watched) = watched {
            self.tell_down(frame.id, watched, &from_wire(frame.reason, frame.text.as_str()));
        }
        known
    }

    /// LINK came.
    pub(super) fn linked(self: &Arc<Self>, frame: &level2::Link) {
        let (Some(near), Some(far)) = (frame.to, frame.from) else { return };
        let Some(system) = self.shared.system() else { return };
        if system.is_remote(near) {
            return self.say_exit(far, Some(near), LINKED, &ExitReason::NoProcess);
        }
        self.shared.neighbours.make_room_for_guests();
        let Some(proxy) = neighbour(self).guest_proxy(far) else {
            let reason = ExitReason::Other("too many actors of other nodes are known here".to_owned());
            return self.say_exit(far, Some(near), LINKED, &reason);
        };
        let pair = Pair { near, far };
        let place = self.shared.targets.place(near, MAX_OF_TARGET);
        let linking = match &place {
            Some(_) => lock(&self.ties).linked(pair, proxy, place),
            None => Linking::Refused,
        };
        match linking {
            Linking::Say if system.signal(near, Signal::Linked(proxy)) => {}
            Linking::Say => {
                lock(&self.ties).end(pair);
                self.say_exit(far, Some(near), LINKED, &ExitReason::NoProcess);
            }
            Linking::Quiet => {}
            Linking::Refused => {
                let reason = ExitReason::Other("too many links".to_owned());
                self.say_exit(far, Some(near), LINKED, &reason);
            }
        }
    }

    /// UNLINK came. It is always acknowledged.
    pub(super) fn unlinked(&self, frame: &Unlink) {
        let (Some(near), Some(far)) = (frame.to, frame.from) else { return };
        let proxies = lock(&self.ties).unlinked(Pair { near, far });
        if let Some(system) = self.shared.system() {
            for proxy in proxies {
                system.signal(near, Signal::Unlinked(proxy));
            }
        }
        let ack = UnlinkAck { id: frame.id, to: Some(far), from: Some(near) };
        self.push(Some(far), Frame::UnlinkAck(ack));
    }

    /// UNLINK_ACK came.
    pub(super) fn acknowledged(&self, frame: &UnlinkAck) {
        let (Some(near), Some(far)) = (frame.to, frame.from) else { return };
        let again = lock(&self.ties).acknowledged(Pair { near, far }, frame.id);
        if again {
            self.say_link(near, far);
        }
    }

    /// EXIT came.
    pub(super) fn exited(self: &Arc<Self>, frame: &Exit) {
        let (Some(near), Some(system)) = (frame.to, self.shared.system()) else { return };
        let reason = from_wire(frame.reason, frame.text.as_str());
        match frame.kind {
            LINKED => {
                let Some(far) = frame.from else { return };
                let proxies = lock(&self.ties).end(Pair { near, far });
                proxies.into_iter().for_each(|proxy| self.tell_exit(near, proxy, reason.clone()));
            }
            EXPLICIT | STOP if !self.shared.config.remote_exits => {
                tracing::debug!(%near, "an exit signal of another node is not obeyed");
            }
            EXPLICIT | STOP if system.is_remote(near) => {}
            EXPLICIT if is_kill(frame) => drop(system.signal(near, Signal::Kill)),
            EXPLICIT => {
                let from = frame.from.and_then(|far| neighbour(self).guest_proxy(far));
                system.exit_from(near, from, reason, false);
            }
            STOP => drop(system.stop_from_afar(near, reason)),
            // A kind that a later version may know; it would have agreed on it.
            _ => {}
        }
    }

    /// The link is over: whoever was monitored or linked is lost.
    pub(super) fn cut_ties(&self, why: &str) {
        let Lost { monitors, links } = lock(&self.ties).close();
        let reason = ExitReason::NoConnection(why.to_owned());
        for (monitor, watched) in monitors {
            if watched.watcher.is_some() {
                self.tell_down(monitor, watched, &reason);
            }
        }
        for (pair, proxy) in links {
            self.tell_exit(pair.near, proxy, reason.clone());
        }
    }

    fn tell_down(&self, monitor: u64, watched: Watched, reason: &ExitReason) {
        let Watched { proxy, far, watcher } = watched;
        match (watcher, self.shared.system()) {
            (None, _) => self.shared.neighbours.ended(self.peer, far, reason),
            (Some(watcher), Some(system)) => {
                system.tell_watcher(MonitorRef::from_u64(monitor), watcher, proxy, reason);
            }
            (Some(_), None) => {}
        }
    }

    fn tell_exit(&self, near: Pid, proxy: Pid, reason: ExitReason) {
        if let Some(system) = self.shared.system() {
            system.exit_from(near, Some(proxy), reason, true);
        }
    }

    fn why(&self) -> String {
        match &*self.ended.read() {
            Some(end) => end.reason().loss(),
            None => "too many monitors and links with that node".to_owned(),
        }
    }
}
