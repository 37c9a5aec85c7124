//! Who waits for room in a link: the users of its addresses, and those who have none to send to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Link, Question, Unasked};
use crate::node::askers::Target;
use crate::node::outbound::Refusal;

impl Link {
    /// Has `offer` take a message as soon as there is room, within `limit` or the time that is configured.
    pub(in crate::node) async fn wait_to_send(
        &self,
        message: Bytes,
        limit: Option<Duration>,
        offer: impl Fn(Bytes) -> Result<(), (Refusal, Bytes)>,
    ) -> Result<(), (Refusal, Bytes)> {
        let limit = limit.unwrap_or(self.shared.config.send_timeout);
        let deadline = self.shared.within(limit, std::future::pending::<()>());
        self.room.send(deadline, message, offer, |len| self.wake_next(len)).await
    }

    /// Has a question that was turned away wait for room, if that is the reason, and puts it with `ask` then.
    pub(in crate::node) fn wait_to_ask(
        self: Arc<Self>,
        unasked: Unasked,
        target: Target,
        ask: impl Fn(Bytes, Question) -> Result<(), Unasked> + Send + Sync + 'static,
    ) {
        self.shared.clone().let_wait(unasked, Some(target), |stay, unasked| async move {
            self.room.ask(ask, stay, unasked, |len| self.wake_next(len)).await;
        });
    }

    /// Some messages are written, and perhaps all.
    pub(super) fn has_written(&self, perhaps_all: bool) {
        self.room.wake_one();
        self.for_users(|peer| peer.link_has_written(perhaps_all));
    }

    /// There may be room for receivers for which there was none.
    pub(super) fn has_released(&self) {
        self.room.release();
        self.room.wake_one();
        self.for_users(|peer| peer.link_has_released());
    }

    fn wake_next(&self, len: usize) {
        if self.has_room(len) {
            self.room.wake_one();
        }
    }
}
