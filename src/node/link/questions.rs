//! Resolves that wait for their answers.

use std::collections::HashMap;

use crate::node::error::ResolveError;
use crate::node::outbound::MAX_RESOLVES;
use crate::node::peer::Reply;
use crate::pid::Pid;
use crate::transport::NodeAddr;

/// By their numbers, which are not used twice.
#[derive(Default)]
pub(super) struct Questions {
    last: u64,
    open: HashMap<u64, Question>,
}

pub(super) struct Question {
    /// Where the asker thinks he asks.
    addr: NodeAddr,
    reply: Reply,
}

impl Questions {
    /// Notes a question; at the bound (L19) the reply comes back.
    pub(super) fn ask(&mut self, addr: &NodeAddr, reply: Reply) -> Result<u64, Reply> {
        if self.open.len() >= MAX_RESOLVES {
            return Err(reply);
        }
        self.last += 1;
        self.open.insert(self.last, Question { addr: addr.clone(), reply });
        Ok(self.last)
    }

    /// An answer came; one to no question is dropped.
    pub(super) fn answer(&mut self, rid: u64, pid: Option<Pid>) {
        if let Some(Question { reply, .. }) = self.open.remove(&rid) {
            // The asker may have given up.
            let _ = reply.send(Ok(pid));
        }
    }

    /// Takes out everything unanswered, the oldest first.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Question> + use<> {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_unstable_by_key(|(rid, _)| *rid);
        open.into_iter().map(|(_, question)| question)
    }
}

impl Question {
    pub(super) fn refuse(self, reason: &str) {
        let error = ResolveError::NoConnection { addr: self.addr, reason: reason.to_owned() };
        // The asker may have given up.
        let _ = self.reply.send(Err(error));
    }
}
