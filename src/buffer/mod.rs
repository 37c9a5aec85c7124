//! Buffers by id: large data is filled in place and then moved to an actor without a copy.

use std::sync::{Mutex, MutexGuard, PoisonError};

use slab::Slab;

/// Names a buffer until it is sent or freed; never used twice, so a stale id names nobody's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(u64);

impl BufferId {
    /// The number, for bindings.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// An id from its number.
    pub const fn from_u64(raw: u64) -> Self {
        Self(raw)
    }
}

/// Memory by id. `T` is what holds the memory: a `Vec<u8>`, or a binding's own shared block.
pub struct BufferTable<T>(Mutex<Entries<T>>);

/// A table that nobody else can use meanwhile.
pub struct HeldTable<'a, T> {
    _entries: MutexGuard<'a, Entries<T>>,
}

struct Entries<T> {
    slab: Slab<(u32, T)>,
    serial: u32,
}

impl<T> BufferTable<T> {
    /// An empty table.
    pub const fn new() -> Self {
        Self(Mutex::new(Entries { slab: Slab::new(), serial: 0 }))
    }

    /// Files `memory` under a new id.
    pub fn insert(&self, memory: T) -> BufferId {
        let mut entries = self.lock();
        entries.serial = entries.serial.wrapping_add(1).max(1);
        let serial = entries.serial;
        let key = entries.slab.insert((serial, memory));
        BufferId((u64::from(serial) << 32) | key as u64)
    }

    /// Takes the memory out; the id is dead from here on. `None` if it was already.
    pub fn take(&self, id: BufferId) -> Option<T> {
        let mut entries = self.lock();
        let key = entries.key(id)?;
        Some(entries.slab.remove(key).1)
    }

    /// Looks at, or fills, the memory of a living id.
    pub fn with<R>(&self, id: BufferId, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut entries = self.lock();
        let key = entries.key(id)?;
        Some(f(&mut entries.slab[key].1))
    }

    /// Living ids.
    pub fn len(&self) -> usize {
        self.lock().slab.len()
    }

    /// Whether no id lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps others from the table until the guard is dropped: for who forks.
    pub fn hold(&self) -> HeldTable<'_, T> {
        HeldTable { _entries: self.lock() }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for BufferTable<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Entries<T> {
    fn key(&self, id: BufferId) -> Option<usize> {
        let (key, serial) = ((id.0 & 0xFFFF_FFFF) as usize, (id.0 >> 32) as u32);
        self.slab.get(key).filter(|entry| entry.0 == serial).map(|_| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_dead_once_taken_and_never_names_other_memory() {
        let table = BufferTable::new();
        let first = table.insert(vec![1_u8]);
        assert_eq!(table.with(first, |memory| memory[0]), Some(1));
        assert_eq!(table.take(first), Some(vec![1]));
        let second = table.insert(vec![2]);
        assert_ne!(first, second);
        assert_eq!(table.take(first), None);
        assert_eq!(table.with(first, |_| ()), None);
        assert_eq!(table.take(second), Some(vec![2]));
        assert!(table.is_empty());
    }
}
