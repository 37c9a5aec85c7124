//! Large questions that nobody asks any more are not sent to their end.

use super::Link;
use super::greeting::caps;

impl Link {
    /// Forgets questions that were given up, and the payloads of large ones.
    pub(super) fn forget_abandoned(&self) {
        let cancels = self.agreed.caps & caps::CANCELS != 0;
        let (cancelled, bulk_lane) = {
            let mut out = self.out();
            (out.forget_abandoned(cancels), out.bulk_lane())
        };
        if cancelled {
            self.work[bulk_lane].notify_one();
            self.has_released();
        }
    }
}
