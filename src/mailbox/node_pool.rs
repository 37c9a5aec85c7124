//! Message nodes, bumped from 4 KiB chunks of the sending thread and given back in runs.
//!
//! A thread that sends opens a chunk and hands out its 63 nodes one after another; a receiver frees
//! nodes by subtracting from the chunk's count of outstanding nodes, once per run of neighbours
//! instead of once per message. Measured (`docs/architecture.md`), this and not the queue decides
//! the speed of a mailbox.
//!
//! Invariant: `outstanding` of a chunk = nodes handed out and not given back + nodes never handed
//! out while the chunk is open. It reaches zero exactly once, and who brings it there frees the
//! chunk.
#![allow(unsafe_code, reason = "the node pool owns raw chunks; every block says why it is sound")]

use std::alloc::{Layout, handle_alloc_error};
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::sync::LazyLock;

use crossbeam_queue::ArrayQueue;

use crate::sync::{self, AtomicU32, Ordering, Witness, alloc, dealloc, thread_local};

/// Size and alignment of a node.
pub(super) const NODE_SIZE: usize = 64;
const CHUNK_SIZE: usize = if sync::MODEL { 4 * NODE_SIZE } else { 4096 };
/// The first node's place holds the header.
const NODES: u32 = (CHUNK_SIZE / NODE_SIZE - 1) as u32;
/// Empty chunks that a thread keeps for its next sends.
const SPARES: usize = if sync::MODEL { 1 } else { 16 };
/// Empty chunks that threads hand to each other: those who receive more than they send to those who
/// send more. 2 MiB in the whole process.
const EXCHANGED: usize = 512;
/// No address has more bits: no system hands out higher ones unless asked to.
pub(super) const ADDRESS_BITS: u32 = 48;

struct Header {
    outstanding: AtomicU32,
    /// Stands for the memory of the whole chunk.
    memory: Witness,
}

type Chunk = NonNull<Header>;

/// An empty chunk between two threads.
struct Spare(Chunk);

// SAFETY: nobody else knows of an empty chunk, and its memory belongs to no thread.
unsafe impl Send for Spare {}

/// See [`EXCHANGED`]. Unused in models, each of which must end with every chunk freed.
static EXCHANGE: LazyLock<ArrayQueue<Spare>> = LazyLock::new(|| ArrayQueue::new(EXCHANGED));

/// Room for one node, [`NODE_SIZE`] bytes, aligned likewise, uninitialised.
#[inline]
pub(super) fn allocate() -> NonNull<u8> {
    OPEN.try_with(OpenChunk::next).unwrap_or_else(|_| {
        // The thread is ending and its pool is gone: a chunk for this one node.
        let chunk = new_chunk();
        release(chunk, NODES - 1);
        node_at(chunk, 1)
    })
}

/// How many nodes ahead of a reader memory is asked for.
const AHEAD: usize = 4;

/// Asks for the memory of the nodes to come, given the next one and the one before it. Who sends in
/// turn to many actors puts the messages of one at equal distances, and a list of them is otherwise
/// read one cache miss after another.
#[inline(always)]
pub(super) fn prefetch(next: *const u8, before: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let distance = next.addr().wrapping_sub(before.addr());
        let ahead = next.wrapping_add(distance.wrapping_mul(AHEAD));
        // SAFETY: a prefetch reads nothing that the program sees and faults at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (next, before, AHEAD);
}

/// Nodes of one chunk that a receiver has finished with but not yet given back.
///
/// Dropping it gives them back.
pub(crate) struct NodeRun {
    chunk: *mut Header,
    count: u32,
}

impl NodeRun {
    pub(crate) const fn new() -> Self {
        Self { chunk: ptr::null_mut(), count: 0 }
    }

    /// Takes back one node.
    ///
    /// # Safety
    /// `node` came from [`allocate`], is not used any more, and was not given back before.
    #[inline(always)]
    pub(super) unsafe fn give_back(&mut self, node: NonNull<u8>) {
        let chunk = node.as_ptr().map_addr(|addr| addr & !(CHUNK_SIZE - 1)).cast::<Header>();
        if chunk != self.chunk {
            self.flush();
            self.chunk = chunk;
        }
        self.count += 1;
        // SAFETY: this node keeps its chunk alive until the flush.
        unsafe { (*chunk).memory.shared() };
    }

    /// Gives the open run back. Called at the latest when a slice ends, so that an idle receiver
    /// pins no chunk.
    pub(crate) fn flush(&mut self) {
        if let Some(chunk) = NonNull::new(std::mem::replace(&mut self.chunk, ptr::null_mut())) {
            release(chunk, std::mem::take(&mut self.count));
        }
    }
}

impl Drop for NodeRun {
    fn drop(&mut self) {
        self.flush();
    }
}

thread_local! {
    static OPEN: OpenChunk = const { OpenChunk { chunk: Cell::new(None), next: Cell::new(0), spares: RefCell::new(Vec::new()) } };
}

/// The chunk from which this thread takes nodes.
struct OpenChunk {
    chunk: Cell<Option<Chunk>>,
    /// The next node, 1..=NODES.
    next: Cell<u32>,
    spares: RefCell<Vec<Chunk>>,
}

impl OpenChunk {
    fn next(&self) -> NonNull<u8> {
        let chunk = match self.chunk.get() {
            Some(chunk) => chunk,
            None => self.open(),
        };
        let index = self.next.get();
        if index == NODES {
            // Fully handed out: from here on only the receivers' counts matter.
            self.chunk.set(None);
        } else {
            self.next.set(index + 1);
        }
        node_at(chunk, index)
    }

    fn open(&self) -> Chunk {
        let spare = self.spares.borrow_mut().pop();
        let chunk = spare.or_else(from_exchange).unwrap_or_else(new_chunk);
        // SAFETY: a spare or new chunk is owned by this thread alone.
        unsafe { chunk.as_ref() }.outstanding.store(NODES, Ordering::Relaxed);
        self.chunk.set(Some(chunk));
        self.next.set(1);
        chunk
    }
}

impl Drop for OpenChunk {
    fn drop(&mut self) {
        if let Some(chunk) = self.chunk.take() {
            release(chunk, NODES - self.next.get() + 1);
        }
        for chunk in self.spares.take() {
            free_chunk(chunk);
        }
    }
}

fn layout() -> Layout {
    Layout::from_size_align(CHUNK_SIZE, CHUNK_SIZE).expect("the constants form a layout")
}

fn new_chunk() -> Chunk {
    // SAFETY: the layout has a size.
    let memory = unsafe { alloc(layout()) };
    let Some(chunk) = NonNull::new(memory.cast::<Header>()) else { handle_alloc_error(layout()) };
    assert_eq!(chunk.addr().get() >> ADDRESS_BITS, 0, "the inbox word holds addresses of 48 bits");
    // SAFETY: the memory is ours, large enough and aligned.
    unsafe { chunk.write(Header { outstanding: AtomicU32::new(NODES), memory: Witness::new() }) };
    chunk
}

fn free_chunk(chunk: Chunk) {
    // SAFETY: the chunk came from `new_chunk` and nobody holds a node of it any more.
    unsafe { dealloc(chunk.as_ptr().cast(), layout()) };
}

fn node_at(chunk: Chunk, index: u32) -> NonNull<u8> {
    // SAFETY: the node is counted, so the chunk is alive; index is in 1..=NODES, so the node lies
    // inside the chunk.
    unsafe {
        chunk.as_ref().memory.shared();
        chunk.cast::<u8>().add(index as usize * NODE_SIZE)
    }
}

fn release(chunk: Chunk, count: u32) {
    // SAFETY: `count` nodes are still counted, so the chunk is alive. AcqRel: the last releaser must
    // see every other thread's last use of the nodes before it frees them.
    let before = unsafe { chunk.as_ref() }.outstanding.fetch_sub(count, Ordering::AcqRel);
    debug_assert!(before >= count, "a node was given back twice");
    if before == count {
        recycle(chunk);
    }
}

fn recycle(chunk: Chunk) {
    // SAFETY: the chunk is not freed yet, and nobody else knows of it any more.
    unsafe { chunk.as_ref() }.memory.exclusive();
    let kept = OPEN.try_with(|open| {
        let mut spares = open.spares.borrow_mut();
        let room = spares.len() < SPARES;
        if room {
            spares.push(chunk);
        }
        room
    });
    if !kept.unwrap_or(false)
        && let Some(chunk) = to_exchange(chunk)
    {
        free_chunk(chunk);
    }
}

fn from_exchange() -> Option<Chunk> {
    if sync::MODEL { None } else { EXCHANGE.pop().map(|Spare(chunk)| chunk) }
}

/// Hands the chunk to whoever needs one; gives it back if there are enough.
fn to_exchange(chunk: Chunk) -> Option<Chunk> {
    if sync::MODEL { Some(chunk) } else { EXCHANGE.push(Spare(chunk)).err().map(|Spare(chunk)| chunk) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_distinct_and_come_back_in_any_order() {
        let mut nodes: Vec<_> = (0..1000).map(|_| allocate()).collect();
        let mut addresses: Vec<_> = nodes.iter().map(|n| n.as_ptr() as usize).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), 1000);
        assert!(addresses.iter().all(|a| a % NODE_SIZE == 0));
        let mut run = NodeRun::new();
        nodes.reverse();
        for node in nodes {
            // SAFETY: each node was allocated above and is given back once.
            unsafe { run.give_back(node) };
        }
    }

    #[test]
    fn nodes_outlive_the_thread_that_allocated_them() {
        let address = std::thread::spawn(|| allocate().as_ptr() as usize).join().unwrap();
        let node = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address)).unwrap();
        // SAFETY: allocated by the ended thread, given back once.
        unsafe {
            node.write_bytes(7, NODE_SIZE);
            NodeRun::new().give_back(node);
        }
    }
}
