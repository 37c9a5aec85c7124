//! The calls about single actors.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Runtime;
use crate::actor::{
    Actor, ActorRef, AskError, AsyncActor, AsyncAdapter, Behaviour, Context, ExitReason, Flow, MonitorRef,
    Observed, Observers, Signal, SpawnOptions, SyncAdapter, Watcher, bytes_fn, current,
};
use crate::buffer::BufferId;
use crate::error::{SendError, SendManyError, SwapError};
use crate::mailbox::Payload;
use crate::pid::Pid;

/// Why waiting for the end of an actor gave no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It still lives.
    #[error("actor {0} has not ended in time")]
    Timeout(Pid),
    /// An actor waited for itself.
    #[error("actor {0} cannot wait for its own end")]
    OwnActor(Pid),
}

/// Starting.
impl Runtime {
    /// Starts an actor with default options.
    pub fn spawn<A: Actor>(&self, actor: A) -> ActorRef<A::Msg> {
        self.spawn_with(actor, SpawnOptions::default())
    }

    /// Starts an actor.
    pub fn spawn_with<A: Actor>(&self, actor: A, options: SpawnOptions) -> ActorRef<A::Msg> {
        let pid = self.spawn_behaviour(Box::new(SyncAdapter(actor)), options);
        ActorRef::new(pid, self.inner.system.clone())
    }

    /// Starts an actor whose handler may wait.
    pub fn spawn_async<A: AsyncActor>(&self, actor: A, options: SpawnOptions) -> ActorRef<A::Msg> {
        let pid = self.spawn_behaviour(Box::new(AsyncAdapter::new(actor)), options);
        ActorRef::new(pid, self.inner.system.clone())
    }

    /// Starts an actor made of a function over bytes; it may return `()` or a [`Flow`].
    pub fn spawn_fn<F, R>(&self, function: F) -> Pid
    where
        F: FnMut(Bytes, &mut Context<'_>) -> R + Send + 'static,
        R: Into<Flow>,
    {
        self.spawn_behaviour(Box::new(bytes_fn(function)), SpawnOptions::default())
    }

    /// Starts any behaviour: what every other way of starting comes down to.
    pub fn spawn_behaviour(&self, behaviour: Box<dyn Behaviour>, options: SpawnOptions) -> Pid {
        self.inner.system.spawn(behaviour, options)
    }

    /// Starts an actor that keeps what it receives, exits of linked actors included, until
    /// [`take_messages`](Self::take_messages) asks for it. What it keeps is not bounded.
    pub fn spawn_observed(&self, options: SpawnOptions) -> Pid {
        let (behaviour, store) = Observers::behaviour();
        let pid = self.spawn_behaviour(behaviour, SpawnOptions { trap_exit: true, ..options });
        self.inner.observers.enrol(pid, store);
        pid
    }

    /// What an observed actor has received since the last call, in order; `None` if `pid` is none.
    /// What one that has ended had received can be taken once.
    pub fn take_messages(&self, pid: Pid) -> Option<Vec<Observed>> {
        self.inner.observers.take(pid, self.is_alive(pid))
    }
}

/// Sending.
impl Runtime {
    /// Sends a message to a local actor. Never waits.
    ///
    /// # Errors
    /// Hands the message back if the actor has ended or does not take bytes, or if its bounded mailbox
    /// is full and rejects it.
    pub fn send(&self, pid: Pid, message: impl Into<Payload>) -> Result<(), SendError<Payload>> {
        self.inner.system.send(pid, message.into())
    }

    /// As [`send`](Self::send). If that makes the actor ready, and its behaviour
    /// [runs anywhere](Behaviour::runs_anywhere), it has its turn on this thread before the call returns, and no
    /// worker has to be woken. In a [simulation](crate::sim) it has it when it is chosen.
    ///
    /// # Errors
    /// As `send`.
    pub fn send_here(&self, pid: Pid, message: impl Into<Payload>) -> Result<(), SendError<Payload>> {
        self.inner.system.send_here(pid, message.into())
    }

    /// Sends all messages, in order and with none of another sender between them, for the price of one
    /// wake-up. Returns how many. To a bounded mailbox they go one by one, each by its policy.
    ///
    /// # Errors
    /// Hands back what was not sent.
    pub fn send_many<P: Into<Payload>>(
        &self,
        pid: Pid,
        messages: impl IntoIterator<Item = P>,
    ) -> Result<usize, SendManyError<Payload>> {
        self.inner.system.send_many(pid, messages.into_iter().map(Into::into))
    }

    /// Asks the actor `pid`, which takes bytes, and waits for its answer at most `within`. Here and on other
    /// nodes alike, where `pid` stands for an actor there. A Rust actor answers by
    /// [`Context::take_reply`] or as an actor of [`Request`](crate::actor::Request)s.
    ///
    /// A question to an actor of another node waits for room on the way there as
    /// [`send_async`](Self::send_async) does, for at most
    /// [`send_timeout`](crate::config::NodeConfig::send_timeout). What is sent to the same actor meanwhile waits behind it (G2).
    ///
    /// Works inside and outside of tokio.
    ///
    /// # Errors
    /// [`AskError`] says which of the ways without an answer it was; there is exactly one outcome (G5).
    pub async fn ask(
        &self,
        pid: Pid,
        message: impl Into<Payload>,
        within: Duration,
    ) -> Result<Payload, AskError> {
        self.inner.system.ask(pid, message.into(), within).await
    }

    /// As [`ask`](Self::ask), but blocks the thread; see [`ActorRef::ask_blocking`].
    ///
    /// # Errors
    /// As `ask`.
    pub fn ask_blocking(
        &self,
        pid: Pid,
        message: impl Into<Payload>,
        within: Duration,
    ) -> Result<Payload, AskError> {
        self.inner.system.ask_blocking(pid, message.into(), within)
    }

    /// As [`ask`](Self::ask), for who does not wait: `then` is called once with the outcome, on the thread where
    /// that comes to be, and must not wait. `deadline` is told to who is asked, and ends nothing here.
    pub fn ask_then(
        &self,
        pid: Pid,
        message: impl Into<Payload>,
        deadline: Option<Instant>,
        then: impl FnOnce(Result<Payload, AskError>) + Send + 'static,
    ) {
        self.inner.system.ask_then(pid, message.into(), deadline, then);
    }

    /// Makes a zeroed buffer of `size` bytes and returns its id.
    pub fn allocate_buffer(&self, size: usize) -> BufferId {
        self.inner.buffers.insert(vec![0; size])
    }

    /// Looks at, or fills, a buffer; `None` if the id is dead.
    pub fn with_buffer<R>(&self, id: BufferId, f: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        self.inner.buffers.with(id, |memory| f(memory))
    }

    /// Moves a buffer into a message without a copy. The id is dead from here on, also if the actor
    /// is; `false` if one of the two was.
    pub fn send_buffer(&self, pid: Pid, id: BufferId) -> bool {
        let Some(memory) = self.inner.buffers.take(id) else { return false };
        self.send(pid, Bytes::from(memory)).is_ok()
    }
}

/// Ending and waiting.
impl Runtime {
    /// Ends the actor with reason `normal` once it has handled what was sent before (S41). Ends its
    /// supervision too; `pid` may be the PID that a restarted child was registered with. `false` if
    /// it was dead.
    pub fn stop(&self, pid: Pid) -> bool {
        let target = self.inner.supervisor.forget(pid).unwrap_or(pid);
        let stopped = self.inner.system.signal(target, Signal::Stop(ExitReason::Normal));
        let registered = pid != target && self.inner.system.signal(pid, Signal::Stop(ExitReason::Normal));
        stopped || registered
    }

    /// Ends the actor before its next message, with reason `killed`. A supervisor restarts it.
    pub fn kill(&self, pid: Pid) -> bool {
        self.inner.system.signal(pid, Signal::Kill)
    }

    /// Ends the actor before its next message, with `reason`, also if it traps exits. For a behaviour whose
    /// code runs somewhere else, and has ended there; with `asker_told` by a failure of which who asked was told
    /// ([`Context::asker_is_told`](crate::actor::Context::asker_is_told)). `false` if it was dead.
    pub fn end(&self, pid: Pid, reason: ExitReason, asker_told: bool) -> bool {
        self.inner.system.signal(pid, Signal::End { reason, asker_told })
    }

    /// Sends an exit signal: dropped, a message, or the end, as the reason and the receiver's
    /// `trap_exit` say (S34).
    pub fn exit(&self, pid: Pid, reason: ExitReason) -> bool {
        self.inner.system.exit(pid, None, reason)
    }

    /// Waits for the end of an actor and returns its reason; `NoProcess` if it had ended before. In a
    /// [simulation](crate::sim) it runs the actors meanwhile.
    ///
    /// # Errors
    /// After `limit`, or at once if an actor waits for itself. In a simulation also when nothing can
    /// happen any more.
    pub fn join(&self, pid: Pid, limit: Option<Duration>) -> Result<ExitReason, JoinError> {
        if current() == Some(pid) {
            return Err(JoinError::OwnActor(pid));
        }
        let (tell, told) = sync_channel(1);
        let monitor = self.on_exit(pid, move |reason| {
            let _ = tell.try_send(reason.clone());
        });
        let deadline = limit.and_then(|limit| self.clock().now().checked_add(limit));
        if self.inner.system.drive(deadline, &mut || !self.is_alive(pid)) == Some(false) {
            self.forget_exit(pid, monitor);
            return Err(JoinError::Timeout(pid));
        }
        let reason = self.inner.system.block_in_place(|| match limit {
            Some(limit) => told.recv_timeout(limit),
            None => told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        });
        match reason {
            Ok(reason) => Ok(reason),
            Err(RecvTimeoutError::Timeout) => {
                self.forget_exit(pid, monitor);
                Err(JoinError::Timeout(pid))
            }
            // The runtime went down with the actor in it.
            Err(RecvTimeoutError::Disconnected) => Ok(ExitReason::Killed),
        }
    }

    /// Calls `f` once with the reason when the actor ends, on the thread where it ends; at once if
    /// it had ended before. `f` must not wait.
    pub fn on_exit(&self, pid: Pid, f: impl FnOnce(&ExitReason) + Send + 'static) -> MonitorRef {
        let monitor = MonitorRef::next();
        self.inner.system.watch(pid, monitor, Watcher::Once(Box::new(f)));
        monitor
    }

    /// Takes an [`on_exit`](Self::on_exit) back: its function is dropped and not called.
    pub fn forget_exit(&self, pid: Pid, monitor: MonitorRef) {
        self.inner.system.signal(pid, Signal::Unwatch(monitor));
    }

    /// Whether the actor lives.
    pub fn is_alive(&self, pid: Pid) -> bool {
        self.inner.system.is_alive(pid)
    }

    /// User messages that wait in its mailbox; `None` for the dead.
    pub fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        self.inner.system.mailbox_size(pid)
    }

    /// How many user messages its mailbox holds; `None` where there is no bound, and for the dead.
    pub fn mailbox_capacity(&self, pid: Pid) -> Option<usize> {
        self.inner.system.mailbox_capacity(pid)
    }
}

/// Code.
impl Runtime {
    /// Replaces the actor's code behind the messages sent so far: those run the old code, later ones
    /// the new. Never waits. Returns the new version. State and mailbox stay (D5).
    ///
    /// # Errors
    /// If the actor has ended or takes another kind of message.
    pub fn hot_swap(&self, pid: Pid, behaviour: Box<dyn Behaviour>) -> Result<u64, SwapError> {
        self.inner.system.hot_swap(pid, behaviour, false)
    }

    /// As [`hot_swap`](Self::hot_swap), but before the next message.
    ///
    /// # Errors
    /// As `hot_swap`.
    pub fn hot_swap_now(&self, pid: Pid, behaviour: Box<dyn Behaviour>) -> Result<u64, SwapError> {
        self.inner.system.hot_swap(pid, behaviour, true)
    }

    /// Goes back to the code before the last swap, in order like a swap; a new version number is
    /// returned. Eight earlier versions are kept.
    ///
    /// # Errors
    /// If the actor has ended or was never swapped.
    pub fn rollback(&self, pid: Pid) -> Result<u64, SwapError> {
        self.inner.system.rollback(pid)
    }

    /// The number of the newest version asked for; 1 for an actor that was never swapped.
    pub fn version(&self, pid: Pid) -> Option<u64> {
        self.inner.system.version(pid)
    }
}

/// Links, monitors, pings.
impl Runtime {
    /// Links two actors: if one fails, so does the other (S32). `false` if `a` is dead, both are the same, or
    /// one lives on a node that knows no links, for it speaks the documented framing only, or both on other nodes: those
    /// are linked over there.
    pub fn link(&self, a: Pid, b: Pid) -> bool {
        let refuses = |pid| self.inner.system.remote(pid).is_some_and(|remote| !remote.takes_links());
        if refuses(a) || refuses(b) || self.is_remote(a) && self.is_remote(b) {
            return false;
        }
        // Both are told from here, so that whatever this thread does next finds the link in place.
        let alive = a != b && self.inner.system.signal(a, Signal::Linked(b));
        if alive {
            self.inner.system.link_back(a, b);
        }
        alive
    }

    /// Removes the link in both directions; `false` if both are dead.
    pub fn unlink(&self, a: Pid, b: Pid) -> bool {
        let alive = self.inner.system.signal(a, Signal::Unlinked(b));
        self.inner.system.signal(b, Signal::Unlinked(a)) || alive
    }

    /// Asks for one DOWN in `watcher`'s mailbox when `target` ends, at once if it is dead (S24). An actor of another node
    /// is no watcher, and is told nothing: it monitors by itself.
    pub fn monitor(&self, watcher: Pid, target: Pid) -> MonitorRef {
        let monitor = MonitorRef::next();
        self.inner.system.signal(watcher, Signal::Monitoring(monitor, target));
        self.inner.system.watch_for(watcher, monitor, target);
        monitor
    }

    /// Takes a monitor back; no DOWN of it is handled afterwards (S27).
    pub fn demonitor(&self, watcher: Pid, monitor: MonitorRef) -> bool {
        self.inner.system.signal(watcher, Signal::Demonitor(monitor))
    }

    /// Whether exits of linked actors come to `pid` as messages. `false` if it is dead or of another node.
    pub fn trap_exit(&self, pid: Pid, trap: bool) -> bool {
        self.inner.system.signal(pid, Signal::TrapExit(trap))
    }

    /// Pings `pid` in the name of `from`, to whose mailbox the PONG goes. The runtime answers before
    /// the next message of `pid`, also while its handler is parked. False if there is no such actor, or
    /// if `pid` is of another node and 65 536 pings wait for that already.
    pub fn ping(&self, pid: Pid, from: Pid) -> bool {
        self.inner.system.signal(pid, Signal::Ping(from))
    }
}
