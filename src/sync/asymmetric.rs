//! Fences whose price is paid by the side that runs seldom.
//!
//! Two threads that each write and then read what the other wrote need a full fence each, or both may
//! miss the other. On Linux the kernel can run that fence on every processor that runs a thread of this
//! process, when one side asks for it. The other side then only has to keep the compiler from changing the
//! order of its instructions. Where that is not possible [`has_heavy_fence`] says so, and both sides
//! must use `fence`.

#[cfg(all(target_os = "linux", not(miri)))]
use std::sync::OnceLock;
use std::sync::atomic::{Ordering, compiler_fence};

#[cfg(all(target_os = "linux", not(miri)))]
use rustix::thread::{MembarrierCommand, membarrier};

/// Whether [`heavy_fence`] does something. The first call tells the kernel that it will be used.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn has_heavy_fence() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok())
}

/// A full fence in this thread, and in each other one somewhere between the start and the end of the
/// call. `false` if the system refused. Costs about a microsecond.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn heavy_fence() -> bool {
    membarrier(MembarrierCommand::PrivateExpedited).is_ok()
}

#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn has_heavy_fence() -> bool {
    false
}

#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn heavy_fence() -> bool {
    false
}

/// What a thread writes before and reads after is in this order for whoever calls [`heavy_fence`].
#[inline(always)]
pub(crate) fn light_fence() {
    compiler_fence(Ordering::SeqCst);
}
