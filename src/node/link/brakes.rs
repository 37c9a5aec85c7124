//! Which of our actors the peer is asked to spare for now (L12), and whether it does.
//!
//! An actor whose mailbox grows beyond its bound is named in XOFF, and in XON when it has handled what was in
//! it then, or has ended. What came in between keeps it busy until more arrives. A peer that keeps to the rules still
//! sends what its credit allowed when XOFF left, since CREDIT comes behind that, one window more, and when it leaves
//! what it held back (protocol, slow actors); who sends more is cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::greeting::max_frame;
use super::{End, Link, lock};
use crate::config::NodeConfig;
use crate::pid::Pid;
use crate::transport::CloseCode;
use crate::wire::level2::{Frame, Xoff, Xon};

/// How soon an actor is looked at again for which large payloads are under way.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// As much as an unconfigured peer queues.
const LEAVING_MESSAGES: usize = 65_536;
const LEAVING_BYTES: u64 = 16 << 20;

#[derive(Default)]
pub(super) struct Brakes {
    spared: Mutex<HashMap<Pid, Spared>>,
    /// How many they are, for who need not look.
    count: AtomicUsize,
    /// Signals of the peer that living actors have not taken.
    signals: Arc<Mutex<HashMap<Pid, usize>>>,
    reached: Arc<Reached>,
}

/// Actors that have handled what they were asked about.
#[derive(Default)]
struct Reached {
    pids: Mutex<Vec<Pid>>,
    news: Notify,
}

/// What came for one actor.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Came {
    pub(super) messages: usize,
    pub(super) bytes: u64,
    /// Bytes that are announced.
    pub(super) announced: u64,
}

struct Spared {
    /// The length of the message that was one too many.
    len: usize,
    /// What may still come.
    left: Came,
}

impl Came {
    /// What may come after XOFF: two windows, and what a peer that leaves may have held back, which it sends first.
    fn allowed(config: &NodeConfig) -> Self {
        let large = u64::from(config.bulk_slots) * config.max_accepted_payload as u64;
        let bytes = 2 * u64::from(config.credit_bytes) + LEAVING_BYTES;
        Self {
            messages: 2 * config.credit_messages as usize + LEAVING_MESSAGES,
            bytes: bytes + 2 * max_frame(config) as u64,
            announced: bytes + large,
        }
    }

    fn take(&mut self, came: Self) -> Option<()> {
        self.messages = self.messages.checked_sub(came.messages)?;
        self.bytes = self.bytes.checked_sub(came.bytes)?;
        self.announced = self.announced.checked_sub(came.announced)?;
        Some(())
    }
}

impl Brakes {
    /// Messages came for `pid`, wherever they go.
    pub(super) fn came(&self, pid: Pid, came: Came) -> Result<(), End> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        match lock(&self.spared).get_mut(&pid) {
            Some(spared) => spared.left.take(came).ok_or_else(|| {
                let reason = format!("it goes on sending to the actor {pid}, which it was asked to spare");
                End::Refused(CloseCode::CreditViolated, reason)
            }),
            None => Ok(()),
        }
    }

    /// Messages were delivered to `pid`, the last of them with `len` bytes.
    pub(super) fn delivered(&self, link: &Link, pid: Pid, len: usize) {
        if link.shared.is_full(pid, len) {
            self.spare(link, pid, len);
        }
    }

    /// A frame for `pid` was parked.
    pub(super) fn parked(&self, link: &Link, pid: Pid) {
        if link.parking.is_full(pid, &link.shared.config) {
            self.spare(link, pid, 0);
        }
    }

    /// A signal goes to `pid`. Those use no credit, and an actor that does not run takes none.
    pub(super) fn signals(&self, link: &Link, pid: Pid) -> Result<(), End> {
        if link.shared.local.mailbox_size(pid).is_none() {
            return Ok(());
        }
        let config = &link.shared.config;
        let count = {
            let mut signals = lock(&self.signals);
            let count = signals.entry(pid).or_default();
            *count += 1;
            *count
        };
        if count == 1 {
            let signals = self.signals.clone();
            let taken = move || {
                lock(&signals).remove(&pid);
            };
            link.shared.local.mark(pid, Box::new(taken));
        }
        if count > config.actor_messages {
            self.spare(link, pid, 0);
        }
        if count > config.actor_messages + Came::allowed(config).messages {
            let reason = format!("it goes on with signals to the actor {pid}, which does not run");
            return Err(End::Refused(CloseCode::CreditViolated, reason));
        }
        Ok(())
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
        let first = {
            let mut spared = lock(&self.spared);
            let first = !spared.contains_key(&pid);
            let left = || Came::allowed(&link.shared.config);
            spared.entry(pid).or_insert_with(|| Spared { len, left: left() }).len = len;
            self.count.store(spared.len(), Ordering::Relaxed);
            first
        };
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
            let len = lock(&self.spared).get(&pid).map_or(0, |spared| spared.len);
            if link.parking.is_full(pid, &link.shared.config) {
                lock(&self.reached.pids).push(pid);
            } else if link.shared.is_full(pid, len) {
                self.ask(link, pid);
            } else {
                // In this order, as what comes in between may have it spared again.
                link.push(None, Frame::Xon(Xon { pid: Some(pid) }));
                self.forget(pid);
            }
        }
        !lock(&self.reached.pids).is_empty()
    }

    fn forget(&self, pid: Pid) {
        let mut spared = lock(&self.spared);
        spared.remove(&pid);
        self.count.store(spared.len(), Ordering::Relaxed);
    }
}
