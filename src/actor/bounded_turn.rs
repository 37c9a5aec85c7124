//! A turn of an actor with a bounded mailbox, where messages and signals come from two places.

use super::ExitReason;
use super::signal::Envelope;
use super::slice::Turn;
use crate::mailbox::Next;

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

    fn behind(&mut self) -> &mut crate::mailbox::Chain<Envelope> {
        &mut self.cell.bonds.tables().behind
    }
}
