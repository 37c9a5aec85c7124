//! A proxy that follows a name: it stands for whoever has the name at an address, one after the other.
//!
//! ```text
//! Found ── its actor ends, or the connection is lost ──► Seeking ── found again ──► Found
//!                                                           │ ▲
//!                                       given up after a while │ └ used, once a pause is over
//!                                                           ▼ │
//!                                                          Lost
//! ```
//!
//! While it seeks, what comes waits in its order, and goes to whoever is found before anything later does.

mod asking;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::absence::{Absence, Sought};
use super::found::{Found, gone};
use super::waiting::{Item, Waiting};
use super::{far, seeking};
use crate::actor::{ExitReason, LaterSend, MonitorRef, Reference, Remote, Reply, Signal, System, Watcher};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::node::WeakNode;
use crate::node::backoff::Gate;
use crate::node::link::Question;
use crate::node::load::Load;
use crate::node::shared::{Shared, now};
use crate::pid::Pid;

/// How long a find is news.
const JUST_NOW: Duration = Duration::from_secs(1);

pub(super) struct Follower {
    pub(super) sought: Sought,
    pub(super) node: WeakNode,
    pub(super) shared: Weak<Shared>,
    this: Weak<Self>,
    /// Its own PID.
    proxy: OnceLock<Pid>,
    state: Mutex<State>,
    /// There is room again, or nothing waits any more.
    room: Notify,
}

struct State {
    stage: Stage,
    /// Who has or had the name, as of the last time it was found.
    last: Found,
    waiting: Waiting,
    /// How soon it is looked for again.
    gate: Gate,
    absence: Absence,
    found_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Found,
    Seeking,
    Lost,
    /// It is not followed any more, or the node is shut down.
    Over,
}

/// What becomes of something for the actor.
enum Route {
    /// To the actor, at once.
    To(Found, Item),
    Waits,
    NoRoom(Item),
    Absent(Absence, Item),
}

impl Follower {
    pub(super) fn new(sought: Sought, node: WeakNode, shared: &Arc<Shared>, found: Found) -> Arc<Self> {
        let config = &shared.config;
        let most = Load { messages: config.outbound_messages, bytes: config.outbound_bytes };
        Arc::new_cyclic(|this| Self {
            sought,
            node,
            shared: Arc::downgrade(shared),
            this: this.clone(),
            proxy: OnceLock::new(),
            state: Mutex::new(State {
                stage: Stage::Found,
                last: found,
                waiting: Waiting::new(most, shared.budget.clone()),
                gate: Gate::new(config.reconnect_first, config.reconnect_cap),
                absence: Absence::Nobody,
                found_at: None,
            }),
            room: Notify::new(),
        })
    }

    /// Tells it its PID. Called once.
    pub(super) fn is(&self, proxy: Pid) {
        let _ = self.proxy.set(proxy);
    }

    pub(super) fn system(&self) -> Option<Arc<System>> {
        self.shared.upgrade().and_then(|shared| shared.system())
    }

    /// Nobody uses it any more; what waits is lost. Returns how many messages that were.
    pub(super) fn end(&self) -> usize {
        let (last, left) = {
            let mut state = self.state();
            state.stage = Stage::Over;
            (state.last.clone(), state.waiting.take_all())
        };
        if let Some(system) = self.system() {
            system.signal(last.pid, Signal::Unwatch(last.monitor));
        }
        self.room.notify_waiters();
        self.refuse(left, &Absence::Closed)
    }

    /// The actor was found; what waits is still to be handed to it.
    pub(super) fn found(&self, found: Found) {
        let earlier = {
            let mut state = self.state();
            if state.stage == Stage::Over {
                return;
            }
            state.found_at = Some(now());
            state.gate.rested();
            state.gate.reached();
            std::mem::replace(&mut state.last, found)
        };
        if !earlier.over
            && let Some(system) = self.system()
        {
            system.signal(earlier.pid, Signal::Unwatch(earlier.monitor));
        }
        self.watch_over();
    }

    /// Whether somebody was found a moment ago: who is gone again at once is not looked for without a pause.
    pub(super) fn was_just_found(&self) -> bool {
        self.state().found_at.is_some_and(|at| now() < at + JUST_NOW)
    }

    /// The next that waits for the actor, with that; `Err` says whether it is still there if nothing waits.
    pub(super) fn next_waiting(&self) -> Result<(Found, Item), bool> {
        let mut state = self.state();
        if state.last.over || state.stage != Stage::Seeking {
            return Err(state.stage != Stage::Seeking);
        }
        match state.waiting.pop() {
            Some(item) => Ok((state.last.clone(), item)),
            None => {
                state.stage = Stage::Found;
                drop(state);
                self.room.notify_waiters();
                Err(true)
            }
        }
    }

    /// What was taken out could not be handed over, since the actor is gone. It comes back if nobody uses the
    /// proxy any more.
    pub(super) fn put_back(&self, item: Item) -> Result<(), Item> {
        let mut state = self.state();
        if state.stage == Stage::Over {
            return Err(item);
        }
        state.last.over = true;
        state.waiting.put_back(item);
        Ok(())
    }

    /// It was looked for in vain: what waits is told so. Returns how many messages are lost.
    pub(super) fn give_up(&self, random: u32, absence: Absence) -> usize {
        let left = {
            let mut state = self.state();
            if state.stage == Stage::Seeking {
                state.stage = Stage::Lost;
                state.gate.failed(now(), random, String::new());
            }
            state.absence = absence.clone();
            state.waiting.take_all()
        };
        self.room.notify_waiters();
        self.refuse(left, &absence)
    }

    pub(super) fn proxy(&self) -> Option<Pid> {
        self.proxy.get().copied()
    }

    /// Watches over whom it stands for.
    pub(super) fn watch_over(&self) {
        let Some(system) = self.system() else { return };
        let (pid, monitor) = {
            let state = self.state();
            (state.last.pid, state.last.monitor)
        };
        let this = self.this.clone();
        let ended = move |_: &ExitReason| {
            if let Some(this) = this.upgrade() {
                this.missed(monitor);
            }
        };
        system.watch(pid, monitor, Watcher::Once(Box::new(ended)));
    }

    /// The actor that this monitor is of is gone, or cannot be reached: another one is looked for.
    fn missed(&self, monitor: MonitorRef) {
        let mut state = self.state();
        if state.last.monitor != monitor {
            return;
        }
        state.last.over = true;
        if state.stage == Stage::Found {
            self.seek(&mut state);
        }
    }

    fn seek(&self, state: &mut State) {
        match (self.shared.upgrade(), self.this.upgrade()) {
            (Some(shared), Some(this)) => {
                state.stage = Stage::Seeking;
                shared.spawn(seeking::seek(this));
            }
            _ => state.stage = Stage::Over,
        }
    }

    fn route(&self, item: Item) -> Route {
        let mut state = self.state();
        match state.stage {
            Stage::Found => return Route::To(state.last.clone(), item),
            Stage::Over => return Route::Absent(Absence::Closed, item),
            Stage::Lost if state.gate.shut(now()).is_some() => {
                return Route::Absent(state.absence.clone(), item);
            }
            Stage::Lost => self.seek(&mut state),
            Stage::Seeking => {}
        }
        if let Item::Signal(signal) = &item
            && state.waiting.revoke(signal)
        {
            return Route::Waits;
        }
        match state.waiting.push(item) {
            Ok(()) => Route::Waits,
            Err(item) => Route::NoRoom(item),
        }
    }

    /// Tells who is concerned that what waited will not reach anybody; how many messages that were.
    fn refuse(&self, left: Vec<Item>, absence: &Absence) -> usize {
        let (Some(proxy), Some(system)) = (self.proxy(), self.system()) else { return 0 };
        let mut messages = 0;
        for item in left {
            match item {
                Item::Message(message) => {
                    messages += 1;
                    seeking::lose(&system, proxy, message);
                }
                Item::Question { reply, .. } => drop(reply.refuse(absence.no_answer(&self.sought, proxy))),
                Item::Signal(signal) => drop(absence.unsignalled(&self.sought, &system, proxy, signal)),
            }
        }
        messages
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remote for Follower {
    fn send(&self, proxy: Pid, message: Bytes) -> Result<(), SendError<Bytes>> {
        let mut message = message;
        loop {
            match self.route(Item::Message(message)) {
                Route::To(found, Item::Message(bytes)) => match gone(found.remote.send(proxy, bytes)) {
                    Ok(sent) => return sent,
                    Err(back) => {
                        message = back;
                        self.missed(found.monitor);
                    }
                },
                Route::NoRoom(Item::Message(message)) => return Err(SendError::Full { pid: proxy, message }),
                Route::Absent(absence, Item::Message(message)) => {
                    return Err(absence.unsent(&self.sought, proxy, message));
                }
                _ => return Ok(()),
            }
        }
    }

    fn send_later(&self, proxy: Pid, message: Bytes, limit: Option<Duration>) -> LaterSend<'_> {
        Box::pin(async move {
            let Some(shared) = self.shared.upgrade() else { return Err(far::is_lost(proxy, message)) };
            let most = limit.unwrap_or(shared.config.send_timeout);
            let deadline = shared.within(most, std::future::pending::<()>());
            tokio::pin!(deadline);
            let mut message = message;
            loop {
                let room = self.room.notified();
                tokio::pin!(room);
                // Woken all at once, so it must wait before it looks.
                room.as_mut().enable();
                match self.route(Item::Message(message)) {
                    Route::To(found, Item::Message(bytes)) => {
                        match gone(found.remote.send_later(proxy, bytes, limit).await) {
                            Ok(sent) => return sent,
                            Err(back) => message = back,
                        }
                        self.missed(found.monitor);
                        continue;
                    }
                    Route::NoRoom(Item::Message(back)) => message = back,
                    Route::Absent(absence, Item::Message(message)) => {
                        return Err(absence.unsent(&self.sought, proxy, message));
                    }
                    _ => return Ok(()),
                }
                tokio::select! {
                    biased;
                    () = room => {}
                    _ = &mut deadline => return Err(SendError::Full { pid: proxy, message }),
                }
            }
        })
    }

    fn ask(&self, message: Bytes, reply: Reply<Payload>, deadline: Option<Instant>) {
        let Err(unasked) = self.put(message, Question { from: None, reply, deadline }) else { return };
        let (Some(shared), Some(this)) = (self.shared.upgrade(), self.this.upgrade()) else {
            return unasked.refuse();
        };
        shared.let_wait(unasked, None, |stay, unasked| async move { this.wait_to_ask(stay, unasked).await });
    }

    fn signal(&self, proxy: Pid, signal: Signal) -> Result<(), Signal> {
        let Some(system) = self.system() else { return Err(signal) };
        match self.route(Item::Signal(signal)) {
            Route::To(found, Item::Signal(signal)) => found.remote.signal(proxy, signal),
            Route::Absent(absence, Item::Signal(signal)) => {
                absence.unsignalled(&self.sought, &system, proxy, signal)
            }
            Route::NoRoom(Item::Signal(signal)) => {
                let absence = Absence::Unreachable("too many monitors and links wait for it".to_owned());
                absence.unsignalled(&self.sought, &system, proxy, signal)
            }
            _ => Ok(()),
        }
    }

    fn takes_links(&self) -> bool {
        self.state().last.remote.takes_links()
    }

    fn reference(&self) -> Reference {
        let remote = self.state().last.remote.clone();
        remote.reference()
    }

    fn is_over(&self) {
        self.missed_now();
    }
}

impl Follower {
    /// Whom it stands for is gone, as this node has just seen. That this is news of an earlier one may be: then
    /// the name is resolved once more.
    fn missed_now(&self) {
        let monitor = self.state().last.monitor;
        self.missed(monitor);
    }
}
