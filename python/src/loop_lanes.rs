//! Where the watchdog of a runtime sees what code of its actors runs in which event loop: a lane for each loop, which
//! nobody drives.

use std::sync::{Arc, Mutex, PoisonError};

use myrmidon::scheduler::Lane;

use crate::loop_bell::Bell;

/// Those of one runtime, by the addresses of the bells.
#[derive(Default)]
pub(crate) struct LoopLanes(Mutex<Vec<(usize, Arc<Lane>)>>);

impl LoopLanes {
    /// The lane of a loop; one of a loop that is gone is used again, as the runtime keeps all that it ever opened.
    pub(crate) fn of(&self, bell: &Bell, core: &myrmidon::Runtime) -> Arc<Lane> {
        /// The runtime's and the list's.
        const UNUSED: usize = 2;
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = bell.address();
        let found = lanes.iter().position(|(address, _)| *address == own);
        let found = found.or_else(|| lanes.iter().position(|(_, lane)| Arc::strong_count(lane) == UNUSED));
        let place = found.unwrap_or_else(|| {
            lanes.push((own, core.open_lane("loop")));
            lanes.len() - 1
        });
        let (address, lane) = &mut lanes[place];
        *address = own;
        lane.clone()
    }
}
