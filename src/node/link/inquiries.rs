//! What the peer asks of the node itself: PING, RESOLVE and INFO, at the rate at which it may (L17).
//!
//! Only the question waits when it is too early. Whatever came behind it on its lane takes effect at once: credit
//! that waited behind questions would slow down messages that have nothing to do with them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{End, Link, lock};
use crate::node::load::{Account, Budget};
use crate::node::outbound::Load;
use crate::node::shared::now;
use crate::node::throttle::{Flood, QUESTIONS_IN_ADVANCE};
use crate::transport::CloseCode;
use crate::wire::MAX_NAME;
use crate::wire::level2::{Frame, Info, Resolve, Resolved, Text16};

/// With so many frames on control that the peer does not read, its questions wait.
const MAX_UNREAD: usize = 1024;
/// How soon that is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Of what an INFO that waits says in words no more is kept, in bytes.
const MOST_WORDS: usize = 1024;

#[derive(Clone)]
pub(super) enum Inquiry {
    Ping,
    Resolve(Resolve),
    Info(Info),
}

impl Inquiry {
    /// With nothing that its outcome does not depend on, and no part of what was read.
    fn kept(self) -> Self {
        match self {
            Self::Resolve(asked) if !is_registrable(asked.name.as_str()) => {
                Self::Resolve(Resolve { name: Text16::default(), ..asked })
            }
            Self::Info(info) => {
                let words = &info.data[..info.data.len().min(MOST_WORDS)];
                Self::Info(Info { data: Bytes::copy_from_slice(words), ..info })
            }
            other => other,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Ping => 0,
            Self::Resolve(asked) => asked.name.as_str().len(),
            Self::Info(info) => info.data.len(),
        }
    }
}

/// Those that wait, the oldest first.
pub(super) struct Inquiries {
    late: Mutex<Late>,
    /// One has come that waits.
    came: Notify,
}

struct Late {
    queue: VecDeque<Inquiry>,
    load: Account,
}

impl Inquiries {
    pub(super) fn new(budget: Budget) -> Self {
        let late = Late { queue: VecDeque::new(), load: Account::new(budget) };
        Self { late: Mutex::new(late), came: Notify::new() }
    }
}

impl Link {
    /// Answers a question of the peer, or lets it wait. An error if more wait than it may ask in advance.
    pub(super) fn inquired(self: &Arc<Self>, inquiry: Inquiry) -> Result<(), End> {
        let reads = self.reads_answers();
        {
            let mut late = lock(&self.inquiries.late);
            let waits = !late.queue.is_empty() || !reads || !lock(&self.rate).try_take(now());
            if waits {
                if late.queue.len() >= QUESTIONS_IN_ADVANCE {
                    return Err(End::Refused(CloseCode::Overloaded, Flood.to_string()));
                }
                let inquiry = inquiry.kept();
                late.load.add(inquiry.len());
                late.queue.push_back(inquiry);
                self.inquiries.came.notify_one();
                return Ok(());
            }
        }
        self.respond(&inquiry);
        Ok(())
    }

    /// Answers what had to wait, at the rate; runs as long as the link lives.
    pub(super) async fn answer_late(self: &Arc<Self>) {
        loop {
            self.inquiries.came.notified().await;
            while let Some(inquiry) = self.next_late() {
                let pause = lock(&self.rate).take(now());
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                while !self.reads_answers() {
                    sleep(LOOK_AGAIN).await;
                }
                self.respond(&inquiry);
                // Not before, so that none that came later is answered first.
                let mut late = lock(&self.inquiries.late);
                late.queue.pop_front();
                late.load.remove(Load { messages: 1, bytes: inquiry.len() });
            }
        }
    }

    fn next_late(&self) -> Option<Inquiry> {
        lock(&self.inquiries.late).queue.front().cloned()
    }

    fn reads_answers(&self) -> bool {
        self.out().control_len() <= MAX_UNREAD
    }

    fn respond(self: &Arc<Self>, inquiry: &Inquiry) {
        match inquiry {
            Inquiry::Ping => self.answer_ping(),
            Inquiry::Resolve(asked) => self.answer_resolve(asked),
            Inquiry::Info(info) => self.informed(info),
        }
    }

    fn answer_resolve(&self, asked: &Resolve) {
        let name = Some(asked.name.as_str()).filter(|name| is_registrable(name));
        let pid = name.and_then(|name| self.shared.whereis(name));
        let incarnation = self.shared.links.me().life.incarnation;
        let answer = Resolved { rid: asked.rid, to: asked.from, pid, incarnation };
        self.push(asked.from, Frame::Resolved(answer));
    }
}

fn is_registrable(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.starts_with('\0')
}
