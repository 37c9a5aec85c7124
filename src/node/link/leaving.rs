//! How a link carries out what its parting decides.

use std::sync::Arc;
use std::time::Duration;

use super::end::printable;
use super::parting::Step;
use super::{End, Link, lock};
use crate::transport::CloseCode;
use crate::wire::level2::{Drained, Frame, Goaway, Text16};

/// How long the one who began to leave waits for the other to close.
const LAST_WORD: Duration = Duration::from_secs(2);

impl Link {
    /// Leaves in good order.
    pub(in crate::node) fn leave(self: &Arc<Self>) {
        let steps = lock(&self.parting).leave();
        self.part(steps);
    }

    pub(super) fn goaway(self: &Arc<Self>, lane: usize, frame: &Goaway) -> Result<(), End> {
        if !CloseCode::is_in_good_order(frame.code) {
            let reason = format!(
                "closed by the peer with code {:#04x}: {}",
                frame.code,
                printable(frame.reason.as_str())
            );
            return Err(End::Cut(reason));
        }
        let steps = lock(&self.parting).goaway(lane, frame.code == CloseCode::GoingAway.as_u16());
        self.part(steps);
        Ok(())
    }

    pub(super) fn drained(self: &Arc<Self>, received: u64) {
        let steps = lock(&self.parting).drained(received);
        self.part(steps);
    }

    fn part(self: &Arc<Self>, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::SayGoaway(code) => self.say_goaway(code),
                Step::SayDrained => {
                    let received = lock(&self.grant).total().saturating_sub(self.parking.outstanding());
                    self.push(None, Frame::Drained(Drained { received }));
                    if lock(&self.parting).is_done() {
                        self.expect_the_end();
                    }
                }
                Step::Close => self.end(End::Left),
            }
        }
    }

    fn say_goaway(&self, code: CloseCode) {
        self.close(&Frame::Goaway(Goaway { code: code.as_u16(), reason: Text16::default() }));
    }

    /// The other closes; if it does not, this side does.
    fn expect_the_end(self: &Arc<Self>) {
        let link = self.clone();
        self.shared.spawn(async move {
            tokio::select! {
                biased;
                _ = link.ended() => {}
                () = tokio::time::sleep(LAST_WORD) => link.end(End::Left),
            }
        });
    }
}
