//! An array that grows by pages: nothing is ever copied, so adding to a long one takes no longer, and
//! no memory lies about that it has outgrown.

use std::ops::{Index, IndexMut};

const PAGE: usize = 512;

pub(super) struct Pages<T> {
    pages: Vec<Box<[T]>>,
}

impl<T> Pages<T> {
    pub(super) fn new() -> Self {
        Self { pages: Vec::new() }
    }

    /// How many it has room for.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.pages.len() * PAGE
    }

    /// Adds a page, filled with what `empty` gives.
    #[cold]
    pub(super) fn grow(&mut self, empty: impl FnMut() -> T) {
        self.pages.push(std::iter::repeat_with(empty).take(PAGE).collect());
    }

    /// All there is room for, with their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..).zip(self.pages.iter().flatten())
    }
}

impl<T> Index<u32> for Pages<T> {
    type Output = T;

    #[inline]
    fn index(&self, key: u32) -> &T {
        &self.pages[key as usize / PAGE][key as usize % PAGE]
    }
}

impl<T> IndexMut<u32> for Pages<T> {
    #[inline]
    fn index_mut(&mut self, key: u32) -> &mut T {
        &mut self.pages[key as usize / PAGE][key as usize % PAGE]
    }
}
