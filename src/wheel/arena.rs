//! Values under keys that are used again, in [`Pages`]. As the crate `slab`, but growing takes no pause.

use super::pages::Pages;

pub(super) struct Arena<T> {
    values: Pages<Option<T>>,
    /// Keys that were used and are free, the last first.
    free: Vec<u32>,
    /// The first key never used.
    fresh: u32,
}

impl<T> Arena<T> {
    pub(super) fn new() -> Self {
        Self { values: Pages::new(), free: Vec::new(), fresh: 0 }
    }

    #[inline]
    pub(super) fn insert(&mut self, value: T) -> u32 {
        let key = self.free.pop().unwrap_or_else(|| self.next_fresh());
        self.values[key] = Some(value);
        key
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        if key < self.fresh { self.values[key].as_mut() } else { None }
    }

    #[inline]
    pub(super) fn get(&self, key: u32) -> Option<&T> {
        if key < self.fresh { self.values[key].as_ref() } else { None }
    }

    #[inline]
    pub(super) fn remove(&mut self, key: u32) -> Option<T> {
        let value = self.values[key].take();
        if value.is_some() {
            self.free.push(key);
        }
        value
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.values.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)))
    }

    fn next_fresh(&mut self) -> u32 {
        let key = self.fresh;
        if self.values.len() <= key as usize {
            self.values.grow(|| None);
        }
        self.fresh += 1;
        key
    }
}
