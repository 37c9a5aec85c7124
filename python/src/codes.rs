//! Lists of code that runs somewhere else than in the turns of its actors: that of one loop, which ends with it, and
//! that of one runtime, which a shutdown waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use myrmidon::Pid;

use crate::code::Code;

/// A list that keeps nothing alive.
#[derive(Default)]
pub(crate) struct Codes(Mutex<List>);

#[derive(Default)]
struct List {
    /// By the PID of the actor, which may have had several, and by their addresses.
    codes: BTreeMap<(u64, usize), Weak<Code>>,
    /// How many there may be before those that are gone are looked for.
    most: usize,
}

impl Codes {
    /// Adds the code of an actor, which knows whose it is.
    pub(crate) fn add(&self, code: &Arc<Code>) {
        let key = (code.pid().map_or(0, Pid::as_u64), Arc::as_ptr(code).addr());
        let mut list = self.list();
        if list.codes.len() >= list.most {
            list.codes.retain(|_, code| code.strong_count() > 0);
            list.most = list.codes.len().max(64) * 2;
        }
        list.codes.insert(key, Arc::downgrade(code));
    }

    /// All of them, and forgets them.
    pub(crate) fn take(&self) -> Vec<Arc<Code>> {
        let codes = std::mem::take(&mut self.list().codes);
        codes.values().filter_map(Weak::upgrade).collect()
    }

    /// Messages that were given to them and are not handled.
    pub(crate) fn unhandled(&self) -> usize {
        let codes: Vec<_> = self.list().codes.values().filter_map(Weak::upgrade).collect();
        codes.iter().map(|code| code.shelf.unhandled()).sum()
    }

    /// As `unhandled`, by the code of one actor.
    pub(crate) fn unhandled_of(&self, pid: Pid) -> usize {
        self.of(pid).iter().map(|code| code.shelf.unhandled()).sum()
    }

    /// The code of one actor, and of those of other runtimes with the same PID.
    pub(crate) fn of(&self, pid: Pid) -> Vec<Arc<Code>> {
        let keys = (pid.as_u64(), 0)..=(pid.as_u64(), usize::MAX);
        self.list().codes.range(keys).filter_map(|(_, code)| code.upgrade()).collect()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
