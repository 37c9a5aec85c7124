//! Large payloads that are not sent to their end: nobody wants them any more.

use super::Link;
use super::greeting::caps;
use crate::wire::level2::{BulkCancel, Frame};

impl Link {
    /// The receiver of a payload that comes in is dead: the peer need not send the rest.
    pub(super) fn spare(&self, bulk: u64) {
        if self.takes_cancels() && self.parking.spurn(bulk) {
            self.push(None, Frame::BulkCancel(BulkCancel { bulk, to: None }));
        }
    }

    /// The peer does not want the rest of a payload.
    pub(super) fn cancel(&self, bulk: u64) {
        let (cancelled, bulk_lane) = {
            let mut out = self.out();
            (out.cancel(bulk), out.bulk_lane())
        };
        if cancelled {
            self.payload_was_given_up(bulk_lane);
        }
    }

    /// Forgets questions that were given up, and the payloads of large ones.
    pub(super) fn forget_abandoned(&self) {
        let (cancelled, bulk_lane) = {
            let mut out = self.out();
            (out.forget_abandoned(self.takes_cancels()), out.bulk_lane())
        };
        if cancelled {
            self.payload_was_given_up(bulk_lane);
        }
    }

    fn payload_was_given_up(&self, bulk_lane: usize) {
        self.work[bulk_lane].notify_one();
        self.for_users(|peer| peer.link_has_written(self));
    }

    fn takes_cancels(&self) -> bool {
        self.agreed.caps & caps::CANCELS != 0
    }
}
