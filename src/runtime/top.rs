//! The busiest actors, over their whole life or since a moment.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::Runtime;
use crate::actor::{ActorInfo, TopBy, Work};
use crate::pid::Pid;

/// What each actor had done at one moment; see [`Runtime::load`].
#[derive(Clone, Debug)]
pub struct Load(HashMap<Pid, Work>);

impl Runtime {
    /// The `limit` actors that come first by `by`, most first.
    pub fn top(&self, by: TopBy, limit: usize) -> Vec<ActorInfo> {
        self.first(by, limit, |_| Work::default())
    }

    /// What each actor has done so far, for [`top_since`](Self::top_since).
    pub fn load(&self) -> Load {
        let system = &self.inner.system;
        Load(system.living().filter_map(|pid| Some((pid, system.work_of(pid)?))).collect())
    }

    /// As [`top`](Self::top), by what was done since `load` was taken; only that stands in
    /// [`reductions`](ActorInfo::reductions) and [`run_time`](ActorInfo::run_time). What waits in mailboxes is
    /// counted now, in either case.
    pub fn top_since(&self, load: &Load, by: TopBy, limit: usize) -> Vec<ActorInfo> {
        self.first(by, limit, |pid| load.0.get(&pid).copied().unwrap_or_default())
    }

    /// Those with most `by`, without what they had done `before`.
    fn first(&self, by: TopBy, limit: usize, before: impl Fn(Pid) -> Work) -> Vec<ActorInfo> {
        let system = &self.inner.system;
        let since = |pid: Pid, (reductions, run_time): Work| {
            let (reductions_before, run_time_before) = before(pid);
            (reductions.saturating_sub(reductions_before), run_time.saturating_sub(run_time_before))
        };
        let rank = |pid: Pid| -> Option<u128> {
            let work = || system.work_of(pid).map(|work| since(pid, work));
            Some(match by {
                TopBy::MailboxSize => system.mailbox_size(pid)? as u128,
                TopBy::Reductions => work()?.0.into(),
                TopBy::RunTime => work()?.1.as_nanos(),
            })
        };
        let mut ranks: Vec<_> = system.living().filter_map(|pid| Some((Reverse(rank(pid)?), pid))).collect();
        ranks.sort_unstable();
        let infos = ranks.into_iter().filter_map(|(_, pid)| {
            let info = self.info(pid)?;
            let (reductions, run_time) = since(pid, (info.reductions, info.run_time));
            Some(ActorInfo { reductions, run_time, ..info })
        });
        infos.take(limit).collect()
    }
}
