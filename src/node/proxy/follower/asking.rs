//! Questions for whoever has the name.

use bytes::Bytes;

use super::{Follower, Route};
use crate::node::askers::Stay;
use crate::node::link::{Question, Unasked};
use crate::node::outbound::Refusal;
use crate::node::proxy::waiting::Item;

impl Follower {
    /// Puts a question, or hands it back for want of room.
    pub(super) fn put(&self, message: Bytes, question: Question) -> Result<(), Unasked> {
        let Question { reply, deadline, .. } = question;
        let pid = reply.asked();
        match self.route(Item::Question { message, reply, deadline }) {
            Route::To(found, Item::Question { message, reply, deadline }) => {
                found.remote.ask(message, reply, deadline);
            }
            Route::NoRoom(Item::Question { message: data, reply, deadline }) => {
                let question = Question { from: None, reply, deadline };
                return Err(Unasked { refusal: Refusal::Busy, data, question });
            }
            Route::Absent(absence, Item::Question { reply, .. }) => {
                reply.refuse(absence.no_answer(&self.sought, pid));
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts a question as soon as there is room.
    pub(super) async fn wait_to_ask(&self, stay: Stay, mut unasked: Unasked) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Woken all at once, so it must wait before it looks.
            room.as_mut().enable();
            match self.put(unasked.data, unasked.question) {
                Ok(()) => return,
                Err(back) => unasked = back,
            }
            if !stay.wait(room, &mut unasked.question).await {
                return stay.give_up(unasked);
            }
        }
    }
}
