//! The first thing that happens to a link.

use std::sync::Arc;

use super::Link;
use crate::node::shared::Stage;

impl Link {
    /// The link is up.
    pub(super) fn begin(self: &Arc<Self>) {
        self.shared.links.insert(self);
        self.take_what_waits();
        self.shared.neighbours.linked(self);
        self.announce();
        if self.shared.stage() != Stage::Running {
            // It is here for what waited for it, and who shuts the node down may have come before it.
            self.leave();
        }
    }

    /// Takes what waits at the addresses of its node. Nobody puts anything else into the link before, so neither
    /// a question nor a signal overtakes a message (G2).
    pub(in crate::node) fn take_what_waits(self: &Arc<Self>) {
        if self.has_ended() {
            return;
        }
        for peer in self.shared.whereabouts.of(self.peer.node) {
            // If nothing more is taken, everything waits on.
            peer.attach(self);
        }
        if self.has_ended() {
            // Its users may have been told of the end before they were its users.
            let link = self.clone();
            self.spawn(async move {
                let end = link.gone().await;
                link.for_users(|peer| peer.link_is_over(&link, &end));
            });
        }
    }
}
