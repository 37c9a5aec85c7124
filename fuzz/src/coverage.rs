//! Which branches were reached, where the build counts them (`scripts/fuzz.sh`). Any other build counts
//! nothing, and nothing is ever new.

use std::collections::HashSet;
use std::sync::Mutex;

/// The counters of the program, one region for each unit of code, as numbers.
static REGIONS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// Called before `main`, once for each unit that counts.
///
/// # Safety
/// `start` and `stop` are the bounds of counters that live as long as the program.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    let region = (start as usize, stop as usize);
    let mut regions = REGIONS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if region.0 < region.1 && !regions.contains(&region) {
        regions.push(region);
    }
}

/// What all inputs so far have reached.
#[derive(Default)]
pub(crate) struct Coverage {
    /// Branches by their places, each with how often it was reached, roughly.
    seen: HashSet<(usize, u8)>,
}

impl Coverage {
    /// Forgets what was counted until now.
    pub(crate) fn start() {
        each_counter(|_, counter| *counter = 0);
    }

    /// Whether anything was reached since the start that was not reached before.
    pub(crate) fn is_new(&mut self) -> bool {
        let mut new = false;
        each_counter(|place, counter| {
            if *counter > 0 {
                new |= self.seen.insert((place, counter.ilog2() as u8));
            }
        });
        new
    }

    pub(crate) fn reached(&self) -> usize {
        self.seen.len()
    }
}

fn each_counter(mut look: impl FnMut(usize, &mut u8)) {
    let regions = REGIONS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    for (start, stop) in regions {
        for place in start..stop {
            let counter = place as *mut u8;
            // SAFETY: the regions are counters of this program and live as long as it does. Code of other
            // threads may count at the same time, so they are read and written as single bytes through raw
            // pointers; a count that is lost changes only which inputs are kept.
            let mut count = unsafe { counter.read_volatile() };
            let before = count;
            look(place, &mut count);
            if count != before {
                // SAFETY: as above.
                unsafe { counter.write_volatile(count) };
            }
        }
    }
}
