//! Which of our actors the peer is asked to spare for now (L12).
//!
//! An actor whose mailbox grows beyond its bound is named in XOFF, and in XON when half of it is
//! handled, or it has ended. Mailboxes tell nobody that they shrink, so they are looked at.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::{Link, lock};
use crate::pid::Pid;
use crate::wire::level2::{Frame, Xoff, Xon};

/// How soon a full mailbox is looked at again. The bound leaves an actor enough to do for so long.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// An actor that needs long is looked at less and less often: by half as long again each time, in which it
/// cannot have handled the other half of its bound. At most so seldom.
const LOOK_SELDOM: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Brakes {
    /// With the length of the message that was one too many.
    spared: Mutex<HashMap<Pid, usize>>,
    /// Somebody is spared.
    pulled: Notify,
}

impl Brakes {
    /// Messages were delivered to `pid`, the last of them with `len` bytes.
    pub(super) fn delivered(&self, link: &Link, pid: Pid, len: usize) {
        if is_over(link, pid, len, 1) && lock(&self.spared).insert(pid, len).is_none() {
            link.push(None, Frame::Xoff(Xoff { pid: Some(pid) }));
            self.pulled.notify_one();
        }
    }

    /// A frame for `pid` was parked.
    pub(super) fn parked(&self, link: &Link, pid: Pid) {
        if link.parking.is_full(pid, &link.shared.config) && lock(&self.spared).insert(pid, 0).is_none() {
            link.push(None, Frame::Xoff(Xoff { pid: Some(pid) }));
            self.pulled.notify_one();
        }
    }

    /// Releases who has caught up, as long as the link lives.
    pub(super) async fn release(&self, link: &Link) {
        loop {
            self.pulled.notified().await;
            let mut pause = LOOK_AGAIN;
            let mut next = Instant::now() + pause;
            while !lock(&self.spared).is_empty() {
                tokio::select! {
                    biased;
                    () = sleep_until(next) => {}
                    () = self.pulled.notified() => {
                        pause = LOOK_AGAIN;
                        next = next.min(Instant::now() + pause);
                        continue;
                    }
                }
                self.look(link);
                pause = (pause * 3 / 2).min(LOOK_SELDOM);
                next = Instant::now() + pause;
            }
        }
    }

    fn look(&self, link: &Link) {
        let caught_up =
            |pid: Pid, len| !is_over(link, pid, len, 2) && !link.parking.is_full(pid, &link.shared.config);
        let mut released: Vec<_> =
            lock(&self.spared).extract_if(|pid, len| caught_up(*pid, *len)).map(|(pid, _)| pid).collect();
        released.sort_unstable();
        for pid in released {
            link.push(None, Frame::Xon(Xon { pid: Some(pid) }));
        }
    }
}

/// Whether a mailbox holds more than a part of its bound. The dead have none.
fn is_over(link: &Link, pid: Pid, len: usize, part: usize) -> bool {
    let config = &link.shared.config;
    let messages = link.shared.local.mailbox_size(pid).unwrap_or(0);
    messages > config.actor_messages / part || messages.saturating_mul(len) > config.actor_bytes / part
}
