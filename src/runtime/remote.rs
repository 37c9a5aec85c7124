//! Monitors of remote actors and who owns them (design.md §4).
//!
//! A monitor made inside a handler belongs to that actor. One made inside a factory belongs to the
//! actor that the factory returns. Any other waits, with the thread that made it, for the next
//! `supervise_with_factory` of that thread; once it has fired only for a moment. When it fires, the owner is told by an
//! EXIT message; an owner that is supervised is then stopped with `noconnection`, so that its factory runs again.
//! What has fired and was told is forgotten.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

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
    /// Those that have not fired, by owner and number.
    owned: Mutex<HashMap<Pid, HashMap<u64, Arc<Claim>>>>,
    next: AtomicU64,
}

/// How long the firing of a monitor that nobody owns concerns whoever may come to own it: between a monitor and the call
/// that gives it an owner no more than the start of an actor has to happen.
const NEWS: Duration = Duration::from_millis(500);

/// One remote monitor.
pub(super) struct Claim {
    number: u64,
    state: Mutex<State>,
    cancel: Mutex<Option<Cancel>>,
}

/// Takes the monitor back from the node.
pub(super) type Cancel = Box<dyn FnOnce() + Send>;

enum State {
    Unclaimed,
    Owned(Pid),
    /// It fired before anybody owned it, at this time.
    Fired(Lost, Instant),
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
    /// Monitors that this thread made and nobody owns yet. They keep no runtime alive.
    static MADE_HERE: RefCell<Vec<Made>> = const { RefCell::new(Vec::new()) };
}

/// A monitor, and the runtime to which it belongs.
struct Made {
    runtime: Weak<Inner>,
    claim: Arc<Claim>,
}

impl Made {
    /// Whether an owner may yet be told of it.
    fn matters(&self) -> bool {
        self.runtime.upgrade().is_some_and(|inner| self.claim.matters(inner.system.clock().now()))
    }
}

impl Claims {
    pub(super) fn new(system: &Arc<System>, events: EventSink) -> Self {
        let (owned, next) = (Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Inner { system: system.clone(), events, owned, next }))
    }

    /// A new monitor of `owner`, or of whoever this thread will give it to. `arm` makes it at the node, given what to call when it fires, and returns how
    /// to take it back.
    pub(super) fn make(&self, owner: Option<Pid>, arm: impl FnOnce(Box<dyn FnOnce(Lost) + Send>) -> Cancel) {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let claim = Arc::new(Claim { number, state: Mutex::new(State::Unclaimed), cancel: Mutex::default() });
        let (this, fired) = (self.clone(), claim.clone());
        let cancel = arm(Box::new(move |lost| this.fired(&fired, lost)));
        *lock(&claim.cancel) = Some(cancel);
        match owner {
            Some(actor) => self.give(vec![claim], actor),
            None => MADE_HERE.with_borrow_mut(|made| {
                if made.len() == made.capacity() {
                    made.retain(Made::matters);
                    // As many again, or it would be looked through for each.
                    made.reserve(made.len() + 1);
                }
                made.push(Made { runtime: Arc::downgrade(&self.0), claim });
            }),
        }
    }

    /// The monitors that this thread has made and nobody owns, but for those that fired a while ago.
    pub(super) fn take_made_here(&self) -> Vec<Arc<Claim>> {
        let now = self.0.system.clock().now();
        let mut ours = self.ours_of_here();
        ours.retain(|claim| claim.matters(now));
        ours
    }

    /// Runs `make`, and returns with its result the monitors that were made meanwhile and nobody owns.
    pub(super) fn made_by<T>(&self, make: impl FnOnce() -> T) -> (T, Vec<Arc<Claim>>) {
        let earlier = MADE_HERE.take();
        let result = make();
        let ours = self.ours_of_here();
        MADE_HERE.with_borrow_mut(|made| made.splice(0..0, earlier).for_each(drop));
        (result, ours)
    }

    fn ours_of_here(&self) -> Vec<Arc<Claim>> {
        let is_ours = |made: &mut Made| std::ptr::eq(made.runtime.as_ptr(), Arc::as_ptr(&self.0));
        MADE_HERE.with_borrow_mut(|made| made.extract_if(.., is_ours).map(|made| made.claim).collect())
    }

    /// Makes `owner` the owner; one that has already fired reaches it at once.
    pub(super) fn give(&self, claims: Vec<Arc<Claim>>, owner: Pid) {
        if claims.is_empty() {
            return;
        }
        for claim in claims {
            let mut state = lock(&claim.state);
            match std::mem::replace(&mut *state, State::Done) {
                State::Fired(lost, _) => {
                    drop(state);
                    self.tell(owner, lost);
                }
                State::Unclaimed => {
                    *state = State::Owned(owner);
                    // Under the lock of its state, or it could fire and be forgotten before it is here.
                    self.0.owned().entry(owner).or_default().insert(claim.number, claim.clone());
                }
                other @ (State::Owned(_) | State::Done) => *state = other,
            }
        }
        if !self.0.system.mark_owner(owner) {
            self.release(owner);
        }
    }

    /// Takes back the monitors of an owner that has ended.
    pub(super) fn release(&self, owner: Pid) {
        let claims = self.0.owned().remove(&owner).unwrap_or_default();
        Self::cancel(claims.into_values());
    }

    /// Takes back monitors that nobody will own.
    pub(super) fn cancel(claims: impl IntoIterator<Item = Arc<Claim>>) {
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
                self.0.forget(owner, claim.number);
                self.tell(owner, lost);
            }
            State::Unclaimed => {
                *state = State::Fired(lost.clone(), self.0.system.clock().now());
                drop(state);
                let Lost { addr, pid, reason } = lost;
                (self.0.events)(&Event::RemoteDown { addr, pid, reason });
            }
            State::Fired(..) | State::Done => {}
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
}

impl Claim {
    /// Whether an owner may yet be told of it.
    fn matters(&self, now: Instant) -> bool {
        match &*lock(&self.state) {
            State::Unclaimed => true,
            State::Fired(_, at) => now.saturating_duration_since(*at) < NEWS,
            State::Owned(_) | State::Done => false,
        }
    }
}

impl Inner {
    fn forget(&self, owner: Pid, number: u64) {
        let mut owned = self.owned();
        if let Some(claims) = owned.get_mut(&owner) {
            claims.remove(&number);
            if claims.is_empty() {
                owned.remove(&owner);
            }
        }
    }

    fn owned(&self) -> MutexGuard<'_, HashMap<Pid, HashMap<u64, Arc<Claim>>>> {
        lock(&self.owned)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runtime;

    type Fire = Box<dyn FnOnce(Lost) + Send>;

    /// A monitor of `owner`, and what fires it.
    fn monitor(rt: &Runtime, owner: Option<Pid>) -> Fire {
        let mut armed = None;
        rt.inner.claims.make(owner, |fire| {
            armed = Some(fire);
            Box::new(|| {})
        });
        armed.unwrap()
    }

    fn lost() -> Lost {
        let pid = Pid::new(1, 1).unwrap();
        Lost { addr: "there:1".to_owned(), pid, reason: ExitReason::NoProcess }
    }

    fn made_here() -> usize {
        MADE_HERE.with_borrow(Vec::len)
    }

    /// Makes those that this thread has made and that have fired old news; how many they are.
    fn grow_old() -> usize {
        let aged = |made: &&Made| match &mut *lock(&made.claim.state) {
            State::Fired(_, at) => {
                *at -= NEWS;
                true
            }
            _ => false,
        };
        MADE_HERE.with_borrow(|made| made.iter().filter(aged).count())
    }

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn a_monitor_that_has_fired_is_forgotten_by_its_owner() {
        let rt = Runtime::builder().workers(1).start().unwrap();
        let owner = rt.spawn_observed(crate::actor::SpawnOptions::default());
        let kept = monitor(&rt, Some(owner));
        for _ in 0..100 {
            monitor(&rt, Some(owner))(lost());
        }
        assert_eq!(rt.inner.claims.0.owned()[&owner].len(), 1);
        kept(lost());
        assert!(rt.inner.claims.0.owned().is_empty());
    }

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn a_monitor_that_nobody_owns_concerns_who_comes_to_own_it_only_for_a_moment_after_it_has_fired() {
        let rt = Runtime::builder().workers(1).start().unwrap();
        let claims = &rt.inner.claims;
        let _waits = monitor(&rt, None);
        monitor(&rt, None)(lost());
        assert_eq!(claims.take_made_here().len(), 2, "one waits, and one has just fired");
        let _waits = monitor(&rt, None);
        monitor(&rt, None)(lost());
        assert_eq!(grow_old(), 1);
        assert_eq!(claims.take_made_here().len(), 1);
        assert_eq!(made_here(), 0);
    }

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn monitors_made_by_a_factory_are_all_its_own_and_no_others() {
        let rt = Runtime::builder().workers(1).start().unwrap();
        let _earlier = monitor(&rt, None);
        let ((), during) = rt.inner.claims.made_by(|| {
            monitor(&rt, None)(lost());
            assert_eq!(grow_old(), 1);
        });
        assert_eq!((during.len(), made_here()), (1, 1), "the factory may take its time");
        rt.inner.claims.take_made_here();
    }

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn monitors_that_nobody_owns_keep_no_memory_and_no_runtime() {
        let rt = Runtime::builder().workers(1).start().unwrap();
        for _ in 0..1000 {
            monitor(&rt, None)(lost());
            assert!(grow_old() > 0);
        }
        assert!(made_here() < 10, "{}", made_here());
        let system = Arc::downgrade(&rt.inner.system);
        monitor(&rt, None)(lost());
        drop(rt);
        assert!(system.upgrade().is_none(), "the thread has a monitor of it still");
    }
}
