//! What stands behind a node: actors that read fast, slowly or never, and a scheduler that may freeze.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::actor::{ExitReason, MonitorRef};
use myrmidon::node::LocalNode;
use tokio::time::{Duration, Instant};

use crate::ledger::{Ledger, Life};

type Job = Box<dyn FnOnce() + Send>;
type OnExit = Box<dyn FnOnce(&ExitReason) + Send>;

/// How exactly the moment is met at which an actor has handled something.
const LOOK: Duration = Duration::from_millis(20);
/// Actors of each node.
pub(crate) const ACTORS: u32 = 4;

/// The actor of a node in one of its lives.
pub(crate) fn pid(life: Life, actor: u32) -> Pid {
    let generation = 1 + life.0 as u32 + 100 * life.1 as u32;
    Pid::new(generation, actor).unwrap()
}

pub(crate) struct Actors {
    this: Weak<Self>,
    life: Life,
    ledger: Ledger,
    state: Mutex<State>,
}

struct State {
    mailboxes: BTreeMap<Pid, Mailbox>,
    watchers: BTreeMap<u64, (Pid, OnExit)>,
    last_watcher: u64,
    frozen: Option<Vec<Job>>,
    longest: usize,
}

struct Mailbox {
    waiting: usize,
    /// The time for one message; none for an actor that reads nothing.
    pace: Option<Duration>,
    /// Since when that time runs.
    since: Instant,
    /// Who wants to know when so many are left, behind which others have come.
    marks: Vec<(usize, Job)>,
}

impl Mailbox {
    /// What was read meanwhile is gone.
    fn settle(&mut self, now: Instant) {
        let Some(pace) = self.pace else { return };
        let read = match pace.as_micros() {
            0 => usize::MAX,
            pace => usize::try_from((now - self.since).as_micros() / pace).unwrap_or(usize::MAX),
        };
        self.waiting = self.waiting.saturating_sub(read);
        self.since += pace * u32::try_from(read).unwrap_or(u32::MAX);
        for (before, _) in &mut self.marks {
            *before = before.saturating_sub(read);
        }
    }

    fn reached(&mut self) -> Vec<Job> {
        self.marks.extract_if(.., |(before, _)| *before == 0).map(|(_, reached)| reached).collect()
    }
}

impl Actors {
    pub(crate) fn new(life: Life, ledger: Ledger) -> Arc<Self> {
        let mailbox =
            || Mailbox { waiting: 0, pace: Some(Duration::ZERO), since: Instant::now(), marks: Vec::new() };
        let mailboxes = (0..ACTORS).map(|actor| (pid(life, actor), mailbox())).collect();
        let (watchers, last_watcher) = (BTreeMap::new(), 0);
        let state = State { mailboxes, watchers, last_watcher, frozen: None, longest: 0 };
        Arc::new_cyclic(|this| Self { this: this.clone(), life, ledger, state: Mutex::new(state) })
    }

    /// Changes how fast an actor reads.
    pub(crate) fn pace(&self, actor: u32, pace: Option<Duration>) {
        if let Some(mailbox) = self.state().mailboxes.get_mut(&pid(self.life, actor)) {
            mailbox.settle(Instant::now());
            (mailbox.pace, mailbox.since) = (pace, Instant::now());
        }
    }

    /// An actor ends; another takes no place.
    pub(crate) fn end(&self, actor: u32, reason: &ExitReason) {
        let pid = pid(self.life, actor);
        let told: Vec<_> = {
            let mut state = self.state();
            let marks = state.mailboxes.remove(&pid).map_or(Vec::new(), |mailbox| mailbox.marks);
            marks.into_iter().for_each(|(_, reached)| reached());
            state.watchers.extract_if(.., |_, (watched, _)| *watched == pid).collect()
        };
        told.into_iter().for_each(|(_, (_, on_exit))| on_exit(reason));
    }

    pub(crate) fn is_alive(&self, actor: u32) -> bool {
        self.state().mailboxes.contains_key(&pid(self.life, actor))
    }

    /// No job runs until it is thawed.
    pub(crate) fn freeze(&self) {
        self.state().frozen.get_or_insert_default();
    }

    pub(crate) fn thaw(&self) {
        let jobs = self.state().frozen.take().unwrap_or_default();
        jobs.into_iter().for_each(|job| job());
    }

    /// The longest that any mailbox has been.
    pub(crate) fn longest(&self) -> usize {
        self.state().longest
    }

    /// Tells who waits for what an actor has handled; false if nobody is left.
    fn look(&self, pid: Pid) -> bool {
        let mut state = self.state();
        let Some(mailbox) = state.mailboxes.get_mut(&pid) else { return false };
        mailbox.settle(Instant::now());
        let (reached, left) = (mailbox.reached(), !mailbox.marks.is_empty());
        drop(state);
        reached.into_iter().for_each(|reached| reached());
        left
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl LocalNode for Actors {
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>) {
        let now = Instant::now();
        for (pid, data) in batch.drain(..) {
            self.ledger.arrived(self.life, pid, &data);
            let mut state = self.state();
            let Some(mailbox) = state.mailboxes.get_mut(&pid) else { continue };
            mailbox.settle(now);
            if mailbox.waiting == 0 {
                mailbox.since = now;
            }
            mailbox.waiting += 1;
            state.longest = state.longest.max(state.mailboxes[&pid].waiting);
        }
    }

    fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        let mut state = self.state();
        let mailbox = state.mailboxes.get_mut(&pid)?;
        mailbox.settle(Instant::now());
        Some(mailbox.waiting)
    }

    fn mark(&self, pid: Pid, reached: Job) {
        let mut state = self.state();
        let Some(mailbox) = state.mailboxes.get_mut(&pid) else {
            drop(state);
            return reached();
        };
        mailbox.settle(Instant::now());
        mailbox.marks.push((mailbox.waiting, reached));
        let this = self.this.clone();
        drop(tokio::spawn(async move {
            // As long as any is there; actors that read nothing keep theirs to the end.
            while let Some(this) = this.upgrade()
                && this.look(pid)
            {
                drop(this);
                tokio::time::sleep(LOOK).await;
            }
        }));
    }

    fn whereis(&self, name: &str) -> Option<Pid> {
        let actor = name.strip_prefix("actor-")?.parse().ok()?;
        self.is_alive(actor).then(|| pid(self.life, actor))
    }

    fn watch(&self, pid: Pid, on_exit: OnExit) -> MonitorRef {
        let mut state = self.state();
        state.last_watcher += 1;
        let number = state.last_watcher;
        if state.mailboxes.contains_key(&pid) {
            state.watchers.insert(number, (pid, on_exit));
        } else {
            drop(state);
            on_exit(&ExitReason::NoProcess);
        }
        MonitorRef::from_u64(number)
    }

    fn unwatch(&self, _: Pid, monitor: MonitorRef) {
        let number = monitor.as_u64();
        let taken = self.state().watchers.remove(&number);
        drop(taken);
    }

    fn on_worker(&self, job: Job) {
        let mut state = self.state();
        match &mut state.frozen {
            Some(jobs) => jobs.push(job),
            None => {
                drop(state);
                job();
            }
        }
    }
}
