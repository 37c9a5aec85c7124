//! Turns of actors whose messages lie apart: in the queue of a bounded mailbox, or among others that
//! wait long.

use super::ExitReason;
use super::signal::Envelope;
use super::slice::Step;
use super::slice::Turn;
use crate::mailbox::{Chain, Next};

impl Turn<'_> {
    /// Handles the next message of the queue, or the signal that comes before it (S41); `false` if there
    /// is neither.
    #[inline(never)]
    pub(super) fn step_bounded(&mut self) -> Result<bool, Box<ExitReason>> {
        let after = self.behind().first().map(Envelope::follows);
        match self.hold.next_bounded(after) {
            Next::Wait => return Ok(false),
            Next::Look => self.receive()?,
            Next::Signal => {
                let Some(node) = self.behind().pop() else { return Ok(false) };
                self.count_reduction();
                self.open(node)?;
            }
            Next::Message(message) => {
                self.count_reduction();
                self.call(|behaviour, cx| behaviour.handle(message, cx))?;
            }
        }
        Ok(true)
    }

    /// As `receive`, where not all is for the backlog as it comes.
    #[inline(never)]
    pub(super) fn receive_apart(&mut self) -> Step {
        let (mut urgent, mut ordered) = (Chain::new(), Chain::new());
        self.hold.take(&mut urgent, &mut ordered, self.cell.trap_exit);
        if self.cell.bounded {
            self.behind().append(ordered);
        } else {
            // What comes behind settled messages will wait as long.
            ordered.settle(&mut self.runner.nodes);
            self.cell.backlog.append(ordered);
        }
        self.obey_all(urgent)
    }

    /// Lets what waits behind a message that is not finished pin no memory of others. The first message
    /// stands for all: what comes behind a settled one is settled when it is received.
    pub(super) fn settle(&mut self) {
        let backlog = &mut self.cell.backlog;
        if !backlog.is_empty() && !backlog.is_settled() {
            backlog.settle(&mut self.runner.nodes);
        }
    }

    fn behind(&mut self) -> &mut Chain<Envelope> {
        &mut self.cell.bonds.tables().behind
    }
}
