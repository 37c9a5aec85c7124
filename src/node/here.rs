//! A peer that turned out to be this very node: nothing travels, everything else is as elsewhere.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::outbound::Refusal;
use super::peer::{Peer, Reply};
use super::shared::{Shared, now};
use crate::pid::Pid;

/// The node as its own peer.
pub(super) struct Here<'a>(pub(super) &'a Shared);

impl Here<'_> {
    pub(super) fn send(&self, pid: Pid, message: Bytes) {
        self.0.local.deliver(&mut vec![(pid, message)]);
    }

    /// As [`send`](Self::send), but spares who has more than its mailbox has room for, as other nodes do: `released` is
    /// told when it has caught up.
    pub(super) fn offer(
        &self,
        pid: Pid,
        message: Bytes,
        released: &Arc<Notify>,
    ) -> Result<(), (Refusal, Bytes)> {
        if self.0.local.is_overfull(pid) {
            let released = released.clone();
            self.0.local.mark(pid, Box::new(move || released.notify_waiters()));
            return Err((Refusal::Held, message));
        }
        self.send(pid, message);
        Ok(())
    }

    pub(super) fn resolve(&self, name: &str, reply: Reply) {
        // The asker may have given up.
        let _ = reply.send(Ok(self.0.local.whereis(name)));
    }

    pub(super) fn monitor(&self, peer: Weak<Peer>, id: u64, pid: Pid) {
        let on_exit = move |reason: &crate::actor::ExitReason| {
            if let Some(peer) = Weak::upgrade(&peer) {
                peer.watch.ended(id, reason);
            }
        };
        self.0.local.watch(pid, Box::new(on_exit));
    }

    /// Waits until a scheduler worker runs; `None` if the runtime has ended.
    pub(super) async fn ping(&self) -> Option<Duration> {
        let sent = now();
        let (job, ran) = oneshot::channel();
        self.0.local.on_worker(Box::new(move || {
            // The asker may have given up.
            let _ = job.send(());
        }));
        ran.await.ok().map(|()| now() - sent)
    }
}

/// Answers pings until nobody wants to know any more.
pub(super) async fn watch(peer: &Arc<Peer>) {
    while peer.watch.is_wanted() {
        if peer.watch.has_waiting() {
            peer.watch.pinged();
            match Here(&peer.shared).ping().await {
                Some(round_trip) => drop(peer.watch.ponged(round_trip)),
                None => return peer.watch.close(),
            }
        } else {
            peer.watch.probed.notified().await;
        }
    }
}
