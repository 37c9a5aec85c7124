//! Proxies: PIDs of this runtime that stand for actors of other nodes.
//!
//! A proxy has a slot like an actor, so that every call that takes a PID takes its; it has no code and
//! takes no turn. Messages and signals for it go straight to its [`Remote`]. It ends like an actor,
//! when the actor that it stands for is known to have ended.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::cell::Cell;
use super::exit::exit;
use super::sending::Sent;
use super::signal::{ExitSignal, Signal, Watcher};
use super::signals::tell_watcher;
use super::slot::{Ready, flag};
use super::{Behaviour, Context, ExitReason, Flow, MonitorRef, Reference, Reply, Request, System, discard};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::pid::Pid;

/// The actor that a proxy stands for, on its node.
pub(crate) trait Remote: Send + Sync {
    /// Takes a message, or hands it back.
    fn send(&self, proxy: Pid, message: Bytes) -> Result<(), SendError<Bytes>>;

    /// Takes a question, which has its outcome in any case.
    fn ask(&self, message: Bytes, reply: Reply<Payload>, deadline: Option<Instant>);

    /// Takes a signal; hands back one that makes no sense for an actor of another node.
    fn signal(&self, proxy: Pid, signal: Signal) -> Result<(), Signal>;

    /// As [`send`](Self::send), but waits for room, at most for `limit`, or for the time that is configured.
    fn send_later(&self, proxy: Pid, message: Bytes, limit: Option<Duration>) -> LaterSend<'_>;

    /// Whether it can be linked with.
    fn takes_links(&self) -> bool;

    /// The actor in words that any node understands.
    fn reference(&self) -> Reference;

    /// Somebody is about to be told that the actor has ended or is lost.
    fn is_over(&self) {}
}

/// A message that may have to wait for room.
pub(crate) type LaterSend<'a> = Pin<Box<dyn Future<Output = Result<(), SendError<Bytes>>> + Send + 'a>>;

/// The proxies of one runtime.
#[derive(Default)]
pub(super) struct Proxies(RwLock<Known>);

#[derive(Default)]
struct Known {
    by_pid: HashMap<Pid, Proxy>,
    /// The runtime goes down: none lives any more.
    closed: bool,
}

struct Proxy {
    remote: Arc<dyn Remote>,
    /// Keeps everybody else from running what has no code.
    ready: Ready,
}

impl System {
    /// Makes a proxy for `remote`. One that comes when the runtime goes down is dead at once, as nobody would end it.
    pub(crate) fn proxy(self: &Arc<Self>, remote: Arc<dyn Remote>) -> Pid {
        let slot = self.take_slot();
        let pid = slot.pid();
        let ready = slot.occupy(Cell::new(Box::new(NoCode), 1), flag::REMOTE | flag::BYTES, 0);
        let mut known = self.proxies.write();
        if known.closed {
            drop(known);
            exit(ready, self, going_down());
        } else {
            known.by_pid.insert(pid, Proxy { remote, ready });
        }
        pid
    }

    /// Ends a proxy, as its actor has ended for `reason`; `false` if it had ended.
    pub(crate) fn end_proxy(self: &Arc<Self>, pid: Pid, reason: ExitReason) -> bool {
        let removed = self.proxies.write().by_pid.remove(&pid);
        removed.map(|Proxy { ready, .. }| exit(ready, self, reason)).is_some()
    }

    /// Ends all of them: the runtime goes down.
    pub(crate) fn end_proxies(self: &Arc<Self>) {
        let mut all: Vec<_> = {
            let mut known = self.proxies.write();
            known.closed = true;
            known.by_pid.keys().copied().collect()
        };
        all.sort_unstable();
        for pid in all {
            self.end_proxy(pid, going_down());
        }
    }

    /// Whether `pid` is a proxy.
    pub(crate) fn is_remote(&self, pid: Pid) -> bool {
        self.slot(pid).is_some_and(|slot| slot.has(flag::REMOTE) && slot.is_alive(pid))
    }

    /// Whom `pid` stands for, if it is a proxy.
    pub(crate) fn remote(&self, pid: Pid) -> Option<Arc<dyn Remote>> {
        self.proxies.get(pid)
    }

    pub(super) fn send_remote(&self, pid: Pid, message: Payload) -> Sent {
        let Some(remote) = self.proxies.get(pid) else {
            return Err(SendError::NoProcess { pid, message });
        };
        if is_request(&message) {
            let (deadline, message, reply) = Request::take_apart(message);
            match (message.into_bytes(), reply) {
                (Ok(bytes), Some(reply)) => remote.ask(bytes, reply, deadline),
                // The question is dropped, and who asked is told so.
                (_, reply) => drop(reply),
            }
            return Ok(());
        }
        match message.into_bytes() {
            Ok(bytes) => remote.send(pid, bytes).map_err(|error| error.map(Payload::Bytes)),
            Err(message) => Err(SendError::NotBytes { pid, message }),
        }
    }

    pub(super) fn signal_remote(&self, pid: Pid, signal: Signal) -> bool {
        let Some(remote) = self.proxies.get(pid) else { return false };
        // What is not for actors of other nodes is dropped.
        remote.signal(pid, signal).map_err(discard).is_ok()
    }

    /// Registers with the far actor; with a proxy that has ended, nobody.
    pub(super) fn watch_remote(&self, pid: Pid, signal: Signal) {
        let back = match self.proxies.get(pid) {
            Some(remote) => remote.signal(pid, signal).err(),
            None => Some(signal),
        };
        if let Some(Signal::Watch(monitor, watcher)) = back {
            tell_watcher(self, monitor, watcher, pid, &ExitReason::NoProcess);
        }
    }

    /// As [`send_remote`](Self::send_remote), but waits for room, at most for `limit`, or for the time that is configured.
    pub(super) async fn send_remote_later(
        &self,
        pid: Pid,
        message: Payload,
        limit: Option<Duration>,
    ) -> Sent {
        let Some(remote) = self.proxies.get(pid).filter(|_| !is_request(&message)) else {
            return self.send_remote(pid, message);
        };
        match message.into_bytes() {
            Ok(bytes) => {
                let sent = remote.send_later(pid, bytes, limit).await;
                sent.map_err(|error| error.map(Payload::Bytes))
            }
            Err(message) => Err(SendError::NotBytes { pid, message }),
        }
    }

    /// Another node ends the actor behind what it was sent before. That is an end in good order, whatever it says.
    pub(crate) fn stop_from_afar(&self, pid: Pid, reason: ExitReason) -> bool {
        let reason = if reason.is_crash() { ExitReason::Shutdown } else { reason };
        self.signal(self.hooks().unsupervise(pid), Signal::Stop(reason))
    }

    /// Tells who monitors the proxy `target` of its actor's end.
    pub(crate) fn tell_watcher(
        &self,
        monitor: MonitorRef,
        watcher: Watcher,
        target: Pid,
        reason: &ExitReason,
    ) {
        self.proxies.is_over(target);
        tell_watcher(self, monitor, watcher, target, reason);
    }

    /// Tells `actor` that its link with the proxy `pid` broke, or an explicit exit of the actor behind that.
    pub(crate) fn exit_from(&self, actor: Pid, pid: Option<Pid>, reason: ExitReason, linked: bool) -> bool {
        pid.filter(|_| linked).into_iter().for_each(|pid| self.proxies.is_over(pid));
        self.signal(actor, Signal::Exit(ExitSignal { from: pid, reason, linked, afar: true }))
    }
}

impl Proxies {
    fn get(&self, pid: Pid) -> Option<Arc<dyn Remote>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.by_pid.get(&pid).map(|proxy| proxy.remote.clone())
    }

    /// Whoever hears of an end and sends then is not to find the proxy as it was before.
    fn is_over(&self, pid: Pid) {
        self.get(pid).into_iter().for_each(|remote| remote.is_over());
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn going_down() -> ExitReason {
    ExitReason::NoConnection("the runtime is shut down".to_owned())
}

fn is_request(message: &Payload) -> bool {
    matches!(message, Payload::Value(value) if value.is::<Request>())
}

/// In the place of the code of a proxy. It is never called.
struct NoCode;

impl Behaviour for NoCode {
    fn handle(&mut self, _: Payload, _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }

    fn starts(&self) -> bool {
        false
    }
}
