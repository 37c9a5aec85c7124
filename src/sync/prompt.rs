//! Threads that are to run at once when they are woken.
//!
//! Linux gives a thread that wakes up the core of another only if it asks for less time at once than that one, since 6.12.
//! Threads of this runtime that others wait for work for microseconds at a time, so they say so: beside a thread that
//! computes without pause they would otherwise wait for milliseconds until its time is up. It gives no thread a larger share.
#![cfg_attr(
    all(target_os = "linux", not(miri)),
    allow(unsafe_code, reason = "a call of the system that no library wraps")
)]

/// What the thread asks for, in nanoseconds: the least that the system knows.
#[cfg(all(target_os = "linux", not(miri)))]
const SLICE: u64 = 100_000;

/// Asks for short slices for the calling thread. An older system, or one that refuses, leaves all as it was.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn be_prompt() {
    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
    let mut attributes = libc::sched_attr {
        size: SIZE,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: 0 is the calling thread, and the system writes no more than `SIZE` bytes to the structure.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    if read != 0 || attributes.sched_policy != libc::SCHED_OTHER as u32 {
        return;
    }
    attributes.sched_runtime = SLICE;
    // SAFETY: as above; the system only reads the structure.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn be_prompt() {}
