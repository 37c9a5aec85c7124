//! Lists of code that runs somewhere else than in the turns of its actors: that of one loop, which ends with it, and
//! that of one runtime, which a shutdown waits for.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::code::Code;

/// A list that keeps nothing alive.
#[derive(Default)]
pub(crate) struct Codes(Mutex<List>);

#[derive(Default)]
struct List {
    codes: Vec<Weak<Code>>,
    /// How many there may be before those that are gone are looked for.
    most: usize,
}

impl Codes {
    pub(crate) fn add(&self, code: &Arc<Code>) {
        let mut list = self.list();
        if list.codes.len() >= list.most {
            list.codes.retain(|code| code.strong_count() > 0);
            list.most = list.codes.len().max(64) * 2;
        }
        list.codes.push(Arc::downgrade(code));
    }

    /// All of them, and forgets them.
    pub(crate) fn take(&self) -> Vec<Arc<Code>> {
        let codes = std::mem::take(&mut self.list().codes);
        codes.iter().filter_map(Weak::upgrade).collect()
    }

    /// Messages that were given to them and are not handled.
    pub(crate) fn unhandled(&self) -> usize {
        let codes = self.list().codes.clone();
        codes.iter().filter_map(Weak::upgrade).map(|code| code.shelf.unhandled()).sum()
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
