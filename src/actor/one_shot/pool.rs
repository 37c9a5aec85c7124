//! Cells of one-shots that are not in use: some with each thread, and some between the threads.

#![allow(clippy::vec_box, reason = "the boxes are what is kept, and go out as they are")]

use std::cell::RefCell;
use std::sync::LazyLock;

use crossbeam_queue::ArrayQueue;

use super::OneShot;
use crate::sync;

/// Cells that a thread keeps for its next asks: 16 KiB.
const KEPT: usize = 256;
/// Cells that threads hand to each other, since an answer may free a cell on another thread than that
/// of its ask: 256 KiB in the whole process.
const EXCHANGED: usize = 4096;

static EXCHANGE: LazyLock<ArrayQueue<Box<OneShot>>> = LazyLock::new(|| ArrayQueue::new(EXCHANGED));

thread_local! {
    static KEEP: RefCell<Vec<Box<OneShot>>> = const { RefCell::new(Vec::new()) };
}

/// A cell that is empty.
pub(super) fn fetch() -> Box<OneShot> {
    if sync::MODEL {
        return Box::new(OneShot::new());
    }
    let kept = KEEP.try_with(|keep| keep.borrow_mut().pop()).ok().flatten();
    kept.or_else(|| EXCHANGE.pop()).unwrap_or_else(|| Box::new(OneShot::new()))
}

/// Takes back a cell that is empty. One too many is freed.
pub(super) fn give_back(cell: Box<OneShot>) {
    if sync::MODEL {
        return;
    }
    let mut cell = Some(cell);
    let _ = KEEP.try_with(|keep| {
        let mut keep = keep.borrow_mut();
        if keep.len() < KEPT {
            keep.extend(cell.take());
        }
    });
    if let Some(cell) = cell {
        drop(EXCHANGE.push(cell));
    }
}
