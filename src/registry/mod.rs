//! Names of local actors.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use crate::actor::System;
use crate::error::RegisterError;
use crate::pid::Pid;

/// Longest name in bytes (L18).
pub const MAX_NAME: usize = 255;
/// Most names of a node (L18).
pub const MAX_NAMES: usize = 100_000;

/// Human-readable names for PIDs. By custom those of related actors are paths, `/svc/pay/1`. A name has at most one living owner (G12); the owner's end frees
/// it before anybody is told of the end (S31).
pub struct Registry {
    system: Arc<System>,
    names: RwLock<Names>,
}

#[derive(Default)]
struct Names {
    /// Sorted, so that paths with the same beginning lie together.
    owners: BTreeMap<String, Pid>,
    by_owner: HashMap<Pid, Vec<String>>,
}

impl Registry {
    pub(crate) fn new(system: Arc<System>) -> Self {
        Self { system, names: RwLock::default() }
    }

    /// Gives `name` to the local actor `pid`. An actor may have several names; giving it the same
    /// one again changes nothing.
    ///
    /// # Errors
    /// If another living actor has the name, `pid` is dead, the name is empty, longer than
    /// [`MAX_NAME`] or begins with NUL, or there are [`MAX_NAMES`] already.
    pub fn register(&self, name: &str, pid: Pid) -> Result<(), RegisterError> {
        check(name)?;
        let mut names = self.write();
        match names.owners.get(name) {
            Some(owner) if *owner == pid && self.system.is_alive(pid) => return Ok(()),
            Some(owner) if self.system.is_alive(*owner) => {
                return Err(RegisterError::Taken { name: name.to_owned(), owner: *owner });
            }
            Some(owner) => {
                let owner = *owner;
                names.remove(name, owner);
            }
            None if names.owners.len() >= MAX_NAMES => return Err(RegisterError::Full(MAX_NAMES)),
            None => {}
        }
        names.owners.insert(name.to_owned(), pid);
        names.by_owner.entry(pid).or_default().push(name.to_owned());
        // Marked after the insertion: an exit that does not see the mark had closed the PID before,
        // which `mark_named` then sees.
        if self.system.mark_named(pid) {
            return Ok(());
        }
        names.remove(name, pid);
        Err(RegisterError::NoProcess(pid))
    }

    /// Frees a name; whether somebody had it.
    pub fn unregister(&self, name: &str) -> bool {
        let mut names = self.write();
        let Some(owner) = names.owners.get(name).copied() else { return false };
        names.remove(name, owner);
        true
    }

    /// The living owner of a name.
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.owners.get(name).copied().filter(|pid| self.system.is_alive(*pid))
    }

    /// The names that begin with `prefix`, with their living owners, in alphabetical order; all of
    /// them for an empty prefix.
    pub fn list(&self, prefix: &str) -> Vec<(String, Pid)> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let matching = names.owners.range::<str, _>(from).take_while(|(name, _)| name.starts_with(prefix));
        let living = matching.filter(|(_, pid)| self.system.is_alive(**pid));
        living.map(|(name, pid)| (name.clone(), *pid)).collect()
    }

    /// The actors whose names are one step below `path`: of `/svc/pay` that is `/svc/pay/1`, and neither
    /// `/svc/pay/1/log` nor `/svc/payment`. In alphabetical order.
    pub fn children(&self, path: &str) -> Vec<(String, Pid)> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let mut children = self.list(&prefix);
        children.retain(|(name, _)| name.len() > prefix.len() && !name[prefix.len()..].contains('/'));
        children
    }

    /// The names of an actor, in the order in which it got them.
    pub fn names_of(&self, pid: Pid) -> Vec<String> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.by_owner.get(&pid).cloned().unwrap_or_default()
    }

    /// Frees all names of an actor that ended.
    pub(crate) fn release(&self, pid: Pid) {
        let mut names = self.write();
        for name in names.by_owner.remove(&pid).unwrap_or_default() {
            names.owners.remove(&name);
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Names {
    fn remove(&mut self, name: &str, owner: Pid) {
        self.owners.remove(name);
        if let Some(owned) = self.by_owner.get_mut(&owner) {
            owned.retain(|known| known != name);
            if owned.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }
}

fn check(name: &str) -> Result<(), RegisterError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is longer than 255 bytes"
    } else if name.starts_with('\0') {
        "names that begin with NUL are reserved for the wire"
    } else {
        return Ok(());
    };
    Err(RegisterError::BadName { name: name.chars().take(40).collect(), reason })
}
