//! Monitors of remote actors and who owns them (design.md §4).
//!
//! A monitor made inside a handler belongs to that actor. One made inside a factory belongs to the
//! actor that the factory returns. Any other waits, with the thread that made it, for the next
//! `supervise_with_factory` of that thread. When it fires, the owner is told by an EXIT message; an
//! owner that is supervised is then stopped with `noconnection`, so that its factory runs again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Event, EventSink};
use crate::actor::{ExitCause, ExitReason, Signal, System, SystemMessage};
use crate::node::RemoteDown;
use crate::pid::Pid;

/// The remote monitors of one runtime, by owner.
#[derive(Clone)]
pub(super) struct Claims(Arc<Inner>);

struct Inner {
    system: Arc<System>,
    events: EventSink,
    owned: Mutex<HashMap<Pid, Vec<Arc<Claim>>>>,
}

/// One remote monitor.
pub(super) struct Claim {
    state: Mutex<State>,
    cancel: Mutex<Option<Cancel>>,
}

/// Takes the monitor back from the node.
pub(super) type Cancel = Box<dyn FnOnce() + Send>;

enum State {
    Unclaimed,
    Owned(Pid),
    /// It fired before anybody owned it.
    Fired(Lost),
    Done,
}

/// What fired: a remote actor that is gone or cannot be reached.
#[derive(Clone)]
pub(super) struct Lost {
    pub(super) addr: String,
    pub(super) pid: Pid,
    pub(super) reason: ExitReason,
}

impl From<RemoteDown> for Lost {
    fn from(down: RemoteDown) -> Self {
        let reason = down.reason.into_exit(&down.addr);
        Self { addr: down.addr.to_string(), pid: down.pid, reason }
    }
}

thread_local! {
    /// Monitors that this thread made and nobody owns yet, with the runtime they belong to.
    static MADE_HERE: RefCell<Vec<(Claims, Arc<Claim>)>> = const { RefCell::new(Vec::new()) };
}

impl Claims {
    pub(super) fn new(system: &Arc<System>, events: EventSink) -> Self {
        Self(Arc::new(Inner { system: system.clone(), events, owned: Mutex::default() }))
    }

    /// A new monitor of `owner`, or of whoever this thread will give it to. `arm` makes it at the node, given what to call when it fires, and returns how
    /// to take it back.
    pub(super) fn make(&self, owner: Option<Pid>, arm: impl FnOnce(Box<dyn FnOnce(Lost) + Send>) -> Cancel) {
        let claim = Arc::new(Claim { state: Mutex::new(State::Unclaimed), cancel: Mutex::default() });
        let (this, fired) = (self.clone(), claim.clone());
        let cancel = arm(Box::new(move |lost| this.fired(&fired, lost)));
        *lock(&claim.cancel) = Some(cancel);
        match owner {
            Some(actor) => self.give(vec![claim], actor),
            None => MADE_HERE.with_borrow_mut(|made| made.push((self.clone(), claim))),
        }
    }

    /// The monitors that this thread has made and nobody owns.
    pub(super) fn take_made_here(&self) -> Vec<Arc<Claim>> {
        MADE_HERE.with_borrow_mut(|made| {
            let (ours, others) = std::mem::take(made).into_iter().partition(|(claims, _)| claims.is(self));
            *made = others;
            let ours: Vec<(Self, Arc<Claim>)> = ours;
            ours.into_iter().map(|(_, claim)| claim).collect()
        })
    }

    /// Makes `owner` the owner; one that has already fired reaches it at once.
    pub(super) fn give(&self, claims: Vec<Arc<Claim>>, owner: Pid) {
        if claims.is_empty() {
            return;
        }
        self.0.owned().entry(owner).or_default().extend(claims.iter().cloned());
        for claim in &claims {
            let mut state = lock(&claim.state);
            match std::mem::replace(&mut *state, State::Owned(owner)) {
                State::Fired(lost) => {
                    *state = State::Done;
                    drop(state);
                    self.tell(owner, lost);
                }
                State::Unclaimed | State::Owned(_) | State::Done => {}
            }
        }
        if !self.0.system.mark_owner(owner) {
            self.release(owner);
        }
    }

    /// Takes back the monitors of an owner that has ended.
    pub(super) fn release(&self, owner: Pid) {
        let claims = self.0.owned().remove(&owner).unwrap_or_default();
        Self::cancel(claims);
    }

    /// Takes back monitors that nobody will own.
    pub(super) fn cancel(claims: Vec<Arc<Claim>>) {
        for claim in claims {
            *lock(&claim.state) = State::Done;
            if let Some(cancel) = lock(&claim.cancel).take() {
                cancel();
            }
        }
    }

    fn fired(&self, claim: &Claim, lost: Lost) {
        let mut state = lock(&claim.state);
        match *state {
            State::Owned(owner) => {
                *state = State::Done;
                drop(state);
                self.tell(owner, lost);
            }
            State::Unclaimed => {
                *state = State::Fired(lost.clone());
                drop(state);
                let Lost { addr, pid, reason } = lost;
                (self.0.events)(&Event::RemoteDown { addr, pid, reason });
            }
            State::Fired(_) | State::Done => {}
        }
    }

    fn tell(&self, owner: Pid, lost: Lost) {
        let Lost { addr, pid, reason } = lost;
        let cause = ExitCause::RemoteMonitor(addr);
        let exit = SystemMessage::Exit { target: pid, reason: reason.clone(), cause };
        self.0.system.signal(owner, Signal::System(exit));
        if self.0.system.is_supervised(owner) {
            self.0.system.signal(owner, Signal::Stop(reason));
        }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Inner {
    fn owned(&self) -> MutexGuard<'_, HashMap<Pid, Vec<Arc<Claim>>>> {
        lock(&self.owned)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
