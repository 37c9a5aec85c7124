//! The actors whose code runs in a loop: they end with it.

use std::sync::{Arc, Weak};

use crate::code::Code;

/// Those of one loop. It keeps none of them.
#[derive(Default)]
pub(super) struct Dependents {
    codes: Vec<Weak<Code>>,
    /// How many there may be before those that are gone are looked for.
    most: usize,
}

impl Dependents {
    pub(super) fn add(&mut self, code: &Arc<Code>) {
        if self.codes.len() >= self.most {
            self.codes.retain(|code| code.strong_count() > 0);
            self.most = self.codes.len().max(64) * 2;
        }
        self.codes.push(Arc::downgrade(code));
    }

    /// All of them; none is known afterwards.
    pub(super) fn take(&mut self) -> Vec<Arc<Code>> {
        std::mem::take(&mut self.codes).iter().filter_map(Weak::upgrade).collect()
    }
}
