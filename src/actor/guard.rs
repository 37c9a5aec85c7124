//! Calls into code that is not ours, at places where a panic has no actor to end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops what came from outside. A panic of its drop is logged and goes no further.
pub(crate) fn discard<T>(value: T) {
    shielded("a drop", move || drop(value));
}

/// Calls `f`. A panic is logged as one of `what` and goes no further.
pub(crate) fn shielded(what: &str, f: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
        let text = panic_text(panic);
        tracing::error!(target: "myrmidon.actor", %text, "{what} panicked");
    }
}

/// The text of a panic.
pub(crate) fn panic_text(panic: Box<dyn Any + Send>) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the panic carried no text".to_owned());
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // What a panic carries may panic when dropped, and so on: the second is leaked.
        std::mem::forget(again);
    }
    text
}
