//! How the peer of a link is, and who is told (D12).

use std::time::Duration;

use super::{End, Link, lock};
use crate::node::census::Who;
use crate::wire::level2::{Frame, Info};

/// What keeps the peer from working, as far as we know.
#[derive(Default)]
pub(super) struct Health {
    /// Its scheduler answers no pings.
    silent: bool,
    /// For how long its Python handlers have not run, as it says.
    stuck: Option<Duration>,
}

impl Health {
    fn why(&self) -> Option<String> {
        match (self.silent, self.stuck) {
            (true, _) => Some("its scheduler does not answer".to_owned()),
            (false, Some(age)) => Some(format!("its Python handlers have not run for {age:.1?}")),
            (false, None) => None,
        }
    }
}

impl Link {
    /// Tells that the link is up.
    pub(super) fn announce(&self) {
        let who = Who {
            addr: self.addr.clone(),
            identity: self.identity.clone(),
            node: self.peer.node,
            incarnation: self.peer.incarnation,
        };
        self.shared.tell(|census| census.linked(self.id, who));
    }

    /// Tells how it ended.
    pub(super) fn obituary(&self, end: &End) {
        let state = end.reason().state();
        self.shared.tell(|census| census.unlinked(self.peer.node, self.id, state));
    }

    /// Bytes come and no pongs.
    pub(super) fn falls_silent(&self) {
        self.diagnose(|health| health.silent = true);
    }

    /// A pong came after all.
    pub(super) fn answers_again(&self) {
        self.diagnose(|health| health.silent = false);
    }

    /// Says how this side is.
    pub(in crate::node) fn inform(&self, info: &Info) {
        self.push(None, Frame::Info(info.clone()));
    }

    /// INFO came.
    pub(super) fn informed(&self, info: &Info) {
        let age = Duration::from_millis(info.python_age_ms.into());
        self.diagnose(|health| health.stuck = Some(age).filter(|age| !age.is_zero()));
    }

    /// Why the peer does not keep up, if so.
    pub(in crate::node) fn stalled(&self) -> Option<String> {
        lock(&self.health).why()
    }

    fn diagnose(&self, change: impl FnOnce(&mut Health)) {
        self.shared.tell(|census| {
            let mut health = lock(&self.health);
            change(&mut health);
            census.stalled(self.peer.node, self.id, health.why())
        });
    }
}
