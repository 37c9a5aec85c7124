//! Which of our actors the peer is asked to spare for now (L12).
//!
//! An actor whose mailbox grows beyond its bound is named in XOFF, and in XON when it has handled what was in
//! it then, or has ended. What came in between keeps it busy until more arrives.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::{Link, lock};
use crate::pid::Pid;
use crate::wire::level2::{Frame, Xoff, Xon};

/// How soon an actor is looked at again for which large payloads are under way.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

#[derive(Default)]
pub(super) struct Brakes {
    /// With the length of the message that was one too many.
    spared: Mutex<HashMap<Pid, usize>>,
    reached: Arc<Reached>,
}

/// Actors that have handled what they were asked about.
#[derive(Default)]
struct Reached {
    pids: Mutex<Vec<Pid>>,
    news: Notify,
}

impl Brakes {
    /// Messages were delivered to `pid`, the last of them with `len` bytes.
    pub(super) fn delivered(&self, link: &Link, pid: Pid, len: usize) {
        if is_over(link, pid, len) {
            self.spare(link, pid, len);
        }
    }

    /// A frame for `pid` was parked.
    pub(super) fn parked(&self, link: &Link, pid: Pid) {
        if link.parking.is_full(pid, &link.shared.config) {
            self.spare(link, pid, 0);
        }
    }

    /// Releases who has caught up, as long as the link lives.
    pub(super) async fn release(&self, link: &Link) {
        loop {
            if self.look(link) {
                sleep(LOOK_AGAIN).await;
            } else {
                self.reached.news.notified().await;
            }
        }
    }

    fn spare(&self, link: &Link, pid: Pid, len: usize) {
        let first = lock(&self.spared).insert(pid, len).is_none();
        if first {
            link.push(None, Frame::Xoff(Xoff { pid: Some(pid) }));
            self.ask(link, pid);
        }
    }

    fn ask(&self, link: &Link, pid: Pid) {
        let reached = self.reached.clone();
        // It may be called by whoever drops the messages of a dead actor, with any lock in his hand.
        let tell = move || {
            lock(&reached.pids).push(pid);
            reached.news.notify_one();
        };
        link.shared.local.mark(pid, Box::new(tell));
    }

    /// Looks at who has handled something. True if that has to be done again in a while.
    fn look(&self, link: &Link) -> bool {
        let mut pids = std::mem::take(&mut *lock(&self.reached.pids));
        pids.sort_unstable();
        for pid in pids {
            let len = lock(&self.spared).get(&pid).copied().unwrap_or(0);
            if link.parking.is_full(pid, &link.shared.config) {
                lock(&self.reached.pids).push(pid);
            } else if is_over(link, pid, len) {
                self.ask(link, pid);
            } else {
                lock(&self.spared).remove(&pid);
                link.push(None, Frame::Xon(Xon { pid: Some(pid) }));
            }
        }
        !lock(&self.reached.pids).is_empty()
    }
}

/// Whether a mailbox holds more than it should. The dead have none.
fn is_over(link: &Link, pid: Pid, len: usize) -> bool {
    let config = &link.shared.config;
    let messages = link.shared.local.mailbox_size(pid).unwrap_or(0);
    messages > config.actor_messages || messages.saturating_mul(len) > config.actor_bytes
}
