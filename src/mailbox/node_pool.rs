//! Message nodes, bumped from 4 KiB chunks of the sending thread and given back in runs.
//!
//! A thread that sends opens a chunk and hands out its 63 nodes one after another; a receiver frees
//! nodes by subtracting from the chunk's count of outstanding nodes, once per run of neighbours
//! instead of once per message. Measured (`docs/architecture.md`), this and not the queue decides
//! the speed of a mailbox.
//!
//! A chunk lives as long as one of its messages waits, so messages that wait long have chunks of their
//! own ([`Stay`]): otherwise one in 63 that nobody reads would hold the memory of all. A thread that ends
//! leaves a chunk that it has begun to the next one that needs one.
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

use crate::sync::{self, AtomicBool, AtomicU32, Ordering, Witness, alloc, dealloc, thread_local};

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
/// Chunks begun by ended threads that wait for another thread, of each kind. 768 KiB in the whole process.
const LEFT_BEGUN: usize = 64;
/// No address has more bits: no system hands out higher ones unless asked to.
pub(super) const ADDRESS_BITS: u32 = 48;

/// How long a message is expected to lie in its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// Until its receiver's next slice.
    Short,
    /// Behind many others.
    Long,
    /// Its receiver waits for something else. Only [`Chain::settle`](super::Chain::settle) says so.
    Settled,
}

const STAYS: usize = Stay::Settled as usize + 1;

struct Header {
    outstanding: AtomicU32,
    /// Whether the messages are [settled](Stay::Settled). Written by the thread that opens the chunk,
    /// which then has it alone.
    settled: AtomicBool,
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

/// A chunk that an ended thread had begun, and the next node of it.
struct Begun(Chunk, u32);

// SAFETY: only who has it hands out the nodes from the next one on, and its memory belongs to no thread.
unsafe impl Send for Begun {}

/// Chunks begun by threads that have ended. Unused in models, like [`EXCHANGE`].
static BEGUN: LazyLock<[ArrayQueue<Begun>; STAYS]> =
    LazyLock::new(|| std::array::from_fn(|_| ArrayQueue::new(LEFT_BEGUN)));

/// Room for one node, [`NODE_SIZE`] bytes, aligned likewise, uninitialised.
#[inline]
pub(super) fn allocate(stay: Stay) -> NonNull<u8> {
    POOL.try_with(|pool| pool.take(stay)).unwrap_or_else(|_| {
        // The thread is ending and its pool is gone.
        Pool::new().take(stay)
    })
}

/// Whether a node lies among settled ones.
///
/// # Safety
/// `node` came from [`allocate`] and was not given back.
pub(super) unsafe fn is_settled(node: *const u8) -> bool {
    // SAFETY: this node keeps its chunk alive.
    unsafe { (*chunk_of(node)).settled.load(Ordering::Relaxed) }
}

fn chunk_of(node: *const u8) -> *mut Header {
    node.map_addr(|addr| addr & !(CHUNK_SIZE - 1)).cast_mut().cast()
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
        let chunk = chunk_of(node.as_ptr());
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
    static POOL: Pool = const { Pool::new() };
}

/// What a thread takes nodes from.
struct Pool {
    open: [OpenChunk; STAYS],
    spares: RefCell<Vec<Chunk>>,
}

/// The chunk from which a thread takes nodes of one kind.
struct OpenChunk {
    chunk: Cell<Option<Chunk>>,
    /// The next node, 1..=NODES.
    next: Cell<u32>,
}

impl Pool {
    const fn new() -> Self {
        let open = [const { OpenChunk { chunk: Cell::new(None), next: Cell::new(0) } }; STAYS];
        Self { open, spares: RefCell::new(Vec::new()) }
    }

    #[inline(always)]
    fn take(&self, stay: Stay) -> NonNull<u8> {
        let open = &self.open[stay as usize];
        let chunk = match open.chunk.get() {
            Some(chunk) => chunk,
            None => self.open(stay),
        };
        let index = open.next.get();
        if index == NODES {
            // Fully handed out: from here on only the receivers' counts matter.
            open.chunk.set(None);
        } else {
            open.next.set(index + 1);
        }
        node_at(chunk, index)
    }

    #[inline(never)]
    fn open(&self, stay: Stay) -> Chunk {
        let spare = self.spares.borrow_mut().pop();
        let begun = if spare.is_none() { from_begun(stay) } else { None };
        let Begun(chunk, next) =
            begun.unwrap_or_else(|| begin(spare.or_else(from_exchange).unwrap_or_else(new_chunk), stay));
        let open = &self.open[stay as usize];
        open.chunk.set(Some(chunk));
        open.next.set(next);
        chunk
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (open, begun) in self.open.iter().zip(0..) {
            if let Some(chunk) = open.chunk.take()
                && let Some(Begun(chunk, next)) = to_begun(Begun(chunk, open.next.get()), begun)
            {
                release(chunk, NODES - next + 1);
            }
        }
        for chunk in self.spares.take() {
            free_chunk(chunk);
        }
    }
}

/// Prepares an empty chunk.
fn begin(chunk: Chunk, stay: Stay) -> Begun {
    // SAFETY: a spare or new chunk is owned by this thread alone.
    let header = unsafe { chunk.as_ref() };
    header.outstanding.store(NODES, Ordering::Relaxed);
    header.settled.store(stay == Stay::Settled, Ordering::Relaxed);
    Begun(chunk, 1)
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
    unsafe {
        chunk.write(Header {
            outstanding: AtomicU32::new(NODES),
            settled: AtomicBool::new(false),
            memory: Witness::new(),
        });
    };
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
    let kept = POOL.try_with(|pool| {
        let mut spares = pool.spares.borrow_mut();
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

fn from_begun(stay: Stay) -> Option<Begun> {
    if sync::MODEL { None } else { BEGUN[stay as usize].pop() }
}

/// Leaves the chunk to the next thread that needs one; gives it back if there are enough.
fn to_begun(begun: Begun, stay: usize) -> Option<Begun> {
    if sync::MODEL { Some(begun) } else { BEGUN[stay].push(begun).err() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nodes_are_distinct_and_come_back_in_any_order() {
        let mut nodes: Vec<_> = (0..1000).map(|_| allocate(Stay::Short)).collect();
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
        let address = std::thread::spawn(|| allocate(Stay::Short).as_ptr() as usize).join().unwrap();
        let node = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(address)).unwrap();
        // SAFETY: allocated by the ended thread, given back once.
        unsafe {
            node.write_bytes(7, NODE_SIZE);
            NodeRun::new().give_back(node);
        }
    }

    /// How many chunks the nodes pin, and how many there must be at least.
    fn pinned(nodes: Vec<usize>) -> (usize, usize) {
        let least = nodes.len().div_ceil(NODES as usize);
        let chunks: HashSet<_> = nodes.iter().map(|node| node & !(CHUNK_SIZE - 1)).collect();
        let mut run = NodeRun::new();
        for node in nodes {
            let node = NonNull::new(ptr::with_exposed_provenance_mut::<u8>(node)).unwrap();
            // SAFETY: each node was allocated by the caller and is given back once.
            unsafe { run.give_back(node) };
        }
        (chunks.len(), least)
    }

    #[test]
    fn messages_that_stay_long_pin_no_chunks_of_those_that_do_not() {
        let mut run = NodeRun::new();
        let kept = (0..63 * 50).filter_map(|n| {
            let stay = if n % 63 == 0 { Stay::Long } else { Stay::Short };
            let node = allocate(stay);
            if stay == Stay::Short {
                // SAFETY: the node was just allocated and is given back once.
                unsafe { run.give_back(node) };
            }
            (stay == Stay::Long).then(|| node.as_ptr().expose_provenance())
        });
        let (chunks, least) = pinned(kept.collect());
        assert!(chunks <= least + 1, "{chunks} chunks, at least {least}");
    }

    #[test]
    fn messages_of_short_threads_share_chunks() {
        let send = || [(); 3].map(|()| allocate(Stay::Short).as_ptr().expose_provenance());
        let kept = (0..300).flat_map(|_| std::thread::spawn(send).join().unwrap());
        let (chunks, least) = pinned(kept.collect());
        // One for each thread, if they did not. Tests that run beside it take some that others have begun.
        assert!(chunks <= 100, "{chunks} chunks, at least {least}");
    }
}
