//! Many doubly linked lists over the keys of one arena: links in an array, no allocation per entry,
//! and any key is taken out without knowing its list.

use super::pages::Pages;

/// No key, and the end of a list.
const NONE: u32 = u32::MAX;
/// In no list.
const ALONE: u32 = u32::MAX - 1;
/// Set in `prev` of the first of a list; the other bits are the list's number.
const HEAD: u32 = 1 << 31;

#[derive(Clone, Copy)]
struct Link {
    prev: u32,
    next: u32,
}

const UNLINKED: Link = Link { prev: ALONE, next: NONE };

/// Invariant: a key is in at most one list.
pub(super) struct Lists {
    heads: Vec<u32>,
    links: Pages<Link>,
}

impl Lists {
    /// So many empty lists.
    pub(super) fn new(lists: usize) -> Self {
        Self { heads: vec![NONE; lists], links: Pages::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.heads.len()
    }

    /// Adds an empty list at the end.
    pub(super) fn open(&mut self) {
        self.heads.push(NONE);
    }

    /// Makes room for `key`, which is in no list.
    #[inline]
    pub(super) fn admit(&mut self, key: u32) {
        assert!(key < HEAD, "two thousand million timers do not fit into memory");
        while self.links.len() <= key as usize {
            self.links.grow(|| UNLINKED);
        }
    }

    /// Puts `key`, which is in no list, in front.
    #[inline]
    pub(super) fn push(&mut self, list: usize, key: u32) {
        let next = std::mem::replace(&mut self.heads[list], key);
        self.links[key] = Link { prev: HEAD | list as u32, next };
        if next != NONE {
            self.links[next].prev = key;
        }
    }

    /// Whether `key`, which was admitted, is in a list.
    #[inline]
    pub(super) fn holds(&self, key: u32) -> bool {
        self.links[key].prev != ALONE
    }

    /// Takes `key` out of the list that it is in. Returns the list if it is empty now.
    #[inline]
    pub(super) fn remove(&mut self, key: u32) -> Option<usize> {
        let Link { prev, next } = std::mem::replace(&mut self.links[key], UNLINKED);
        if next != NONE {
            self.links[next].prev = prev;
        }
        if prev & HEAD == 0 {
            self.links[prev].next = next;
            return None;
        }
        let list = (prev & !HEAD) as usize;
        self.heads[list] = next;
        (next == NONE).then_some(list)
    }

    pub(super) fn first(&self, list: usize) -> Option<u32> {
        Some(self.heads[list]).filter(|key| *key != NONE)
    }

    pub(super) fn after(&self, key: u32) -> Option<u32> {
        Some(self.links[key].next).filter(|next| *next != NONE)
    }
}
