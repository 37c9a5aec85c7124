//! Observed actors: they keep what they receive until somebody asks for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Behaviour, Context, Flow, Request, SystemMessage};
use crate::mailbox::Payload;
use crate::pid::Pid;

/// One thing that an observed actor received.
#[derive(Debug)]
pub enum Observed {
    /// A user message.
    Message(Payload),
    /// A system message.
    System(SystemMessage),
}

type Store = Arc<Mutex<VecDeque<Observed>>>;

/// The observed actors of one runtime and what they have received.
#[derive(Default)]
pub struct Observers(Mutex<HashMap<Pid, Store>>);

impl Observers {
    /// The behaviour of a new observed actor; [`enrol`](Self::enrol) it under its PID.
    pub(crate) fn behaviour() -> (Box<dyn Behaviour>, impl Into<Store>) {
        let store = Store::default();
        (Box::new(Observer(store.clone())), store)
    }

    pub(crate) fn enrol(&self, pid: Pid, store: impl Into<Store>) {
        self.map().insert(pid, store.into());
    }

    /// Everything received since the last call, in order; `None` if `pid` is no observed actor.
    /// What a dead one had received can be taken once.
    pub(crate) fn take(&self, pid: Pid, alive: bool) -> Option<Vec<Observed>> {
        let mut map = self.map();
        let store = map.get(&pid)?.clone();
        if !alive {
            map.remove(&pid);
        }
        drop(map);
        let taken = std::mem::take(&mut *lock(&store));
        Some(taken.into())
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Pid, Store>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Observer(Store);

impl Behaviour for Observer {
    fn starts(&self) -> bool {
        false
    }

    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        // An observer answers nobody, and who asked is told so.
        let (message, asked) = Request::open(message);
        lock(&self.0).push_back(Observed::Message(message));
        // Only now, so that who is told so finds the message.
        drop(asked);
        Flow::Continue
    }

    fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
        lock(&self.0).push_back(Observed::System(message));
        Flow::Continue
    }

    /// The last thing observed: from here on the new code receives.
    fn replaced(&mut self, pid: Pid, version: u64) {
        let swap = SystemMessage::HotSwap { target: pid, version, error: None };
        lock(&self.0).push_back(Observed::System(swap));
    }
}

fn lock(store: &Store) -> MutexGuard<'_, VecDeque<Observed>> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
