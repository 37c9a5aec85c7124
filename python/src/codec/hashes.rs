//! The hashes of the keys of one dict, or the items of one set.
//!
//! Who knows how Python hashes numbers can make any number of them with the same hash, and a dict of those takes time by the
//! square of its length.

use std::collections::HashMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// How many keys of one dict, or items of one set, may have the same hash.
pub(super) const ALIKE: usize = 64;

#[derive(Default)]
pub(super) struct Hashes(HashMap<isize, usize>);

impl Hashes {
    /// Counts one key; inside, what is wrong if there are too many like it.
    ///
    /// # Errors
    /// What it raises where it has no hash.
    pub(super) fn note(&mut self, key: &Bound<'_, PyAny>) -> PyResult<Result<(), String>> {
        // Hashed with a secret.
        if key.is_exact_instance_of::<PyString>() || key.is_exact_instance_of::<PyBytes>() {
            return Ok(Ok(()));
        }
        let alike = self.0.entry(key.hash()?).or_default();
        *alike += 1;
        if *alike > ALIKE {
            return Ok(Err(format!("more than {ALIKE} keys of a dict or items of a set hash alike")));
        }
        Ok(Ok(()))
    }
}
