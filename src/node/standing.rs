//! How things stand with a peer: whether it is connected, at which level, and what is remembered of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::link::Link;
use super::shown::Shown;
use crate::config::Level;

/// How long a peer is taken for one of level 1 without being asked again (protocol §2).
const REMEMBERED: Duration = Duration::from_secs(60);

/// A connection that is there.
#[derive(Clone)]
pub(super) enum Up {
    /// At level 1.
    One,
    Two(Arc<Link>),
    /// The address is this very node's.
    Here,
}

pub(super) struct Standing {
    now: Shown<Now>,
    /// The highest level that is spoken with it.
    most: Mutex<Level>,
    /// Until then it is taken for a level-1 peer.
    one_until: Mutex<Option<Instant>>,
}

#[derive(Default)]
pub(super) struct Now {
    up: Option<Up>,
    closed: bool,
    /// Attempts that are over, and how the last of them ended.
    attempts: u64,
    failure: String,
    /// Messages written to links that are gone, and lost on them.
    past: (u64, u64),
}

impl Now {
    /// The link, if there is one and messages are taken.
    pub(super) fn open_link(&self) -> Option<&Arc<Link>> {
        match &self.up {
            Some(Up::Two(link)) if !self.closed => Some(link),
            _ => None,
        }
    }
}

impl Standing {
    pub(super) fn new(most: Level) -> Self {
        Self { now: Shown::default(), most: Mutex::new(most), one_until: Mutex::default() }
    }

    /// The link, if there is one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        match &self.now.read().up {
            Some(Up::Two(link)) => Some(link.clone()),
            _ => None,
        }
    }

    pub(super) fn up(&self) -> Option<Up> {
        self.now.read().up.clone()
    }

    /// How things stand, which stays so while this is held.
    pub(super) fn look(&self) -> MutexGuard<'_, Now> {
        self.now.read()
    }

    /// Nothing more is taken.
    pub(super) fn close(&self) {
        self.now.modify(|now| {
            now.closed = true;
            false
        });
    }

    pub(super) fn level(&self, now: Instant) -> Option<Level> {
        match &self.now.read().up {
            Some(Up::One) => Some(Level::One),
            Some(Up::Two(_)) => Some(Level::Two),
            Some(Up::Here) => None,
            None => self.is_known_one(now).then_some(Level::One),
        }
    }

    /// Nothing but level 1 is spoken with it from the next connection on.
    pub(super) fn only_one(&self) {
        *lock(&self.most) = Level::One;
    }

    /// Whether it was decided that nothing else is spoken with it.
    pub(super) fn is_only_one(&self) -> bool {
        *lock(&self.most) == Level::One
    }

    /// Whether it need not be asked for its level.
    pub(super) fn is_known_one(&self, now: Instant) -> bool {
        *lock(&self.most) == Level::One || lock(&self.one_until).is_some_and(|until| now < until)
    }

    /// Messages written to links, and lost on them.
    pub(super) fn counts(&self) -> (u64, u64) {
        let (sent, dead) = self.link().map_or((0, 0), |link| link.counts());
        let past = self.now.read().past;
        (sent + past.0, dead + past.1)
    }

    /// Waits for a connection, or for the attempt to make one to fail; `want` asks for an attempt.
    pub(super) async fn connected(&self, now: Instant, want: impl FnOnce()) -> Result<Up, String> {
        if self.is_known_one(now) {
            return Ok(Up::One);
        }
        let seen = self.now.read().attempts;
        want();
        let reached = |now: &Now| match &now.up {
            Some(up) => Some(Ok(up.clone())),
            None => (now.attempts > seen).then(|| Err(now.failure.clone())),
        };
        self.now.wait_for(reached).await
    }

    /// A lane of level 1 is open.
    pub(super) fn direct(&self, now: Instant) {
        *lock(&self.one_until) = Some(now + REMEMBERED);
        self.show(Some(Up::One));
    }

    /// It is over. What was found out is forgotten, unless the peer closes everything at once: then
    /// asking again would lead nowhere.
    pub(super) fn not_direct(&self, forget: bool) {
        if forget {
            self.forget();
        }
        self.show(None);
    }

    /// The peer is gone, and another may take its place.
    pub(super) fn forget(&self) {
        *lock(&self.one_until) = None;
    }

    pub(super) fn linked(&self, link: Arc<Link>) {
        self.forget();
        self.show(Some(Up::Two(link)));
    }

    pub(super) fn here(&self) {
        self.show(Some(Up::Here));
    }

    /// The link is over; false if it was not this one.
    pub(super) fn unlink(&self, link: &Link) -> bool {
        self.now.modify(|now| match &now.up {
            Some(Up::Two(linked)) if linked.id == link.id => {
                let (sent, dead) = link.counts();
                now.past = (now.past.0 + sent, now.past.1 + dead);
                now.up = None;
                true
            }
            _ => false,
        })
    }

    /// An attempt failed.
    pub(super) fn failed(&self, reason: &str) {
        self.now.modify(|now| {
            now.attempts += 1;
            reason.clone_into(&mut now.failure);
            true
        });
    }

    fn show(&self, up: Option<Up>) {
        self.now.modify(|now| {
            now.up = up;
            true
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
