//! How the peer of a link is, and who is told (D12).

use std::time::Duration;

use super::{End, Link, lock};
use crate::node::census::Who;
use crate::wire::level2::{Frame, Info};

/// A scheduler that is later than this is worth a word.
const LATE: Duration = Duration::from_millis(100);
/// Of what a peer says in words no more is shown.
const MOST_WORDS: usize = 200;

/// What keeps the peer from working, as far as we know.
#[derive(Default)]
pub(super) struct Health {
    /// Its scheduler answers no pings.
    silent: bool,
    /// For how long its Python handlers have not run, and what else it says of itself.
    stuck: Option<(Duration, String)>,
}

impl Health {
    fn why(&self) -> Option<String> {
        match (self.silent, &self.stuck) {
            (true, _) => Some("its scheduler does not answer".to_owned()),
            (false, Some((age, more))) => {
                Some(format!("its Python handlers have not run for {age:.1?}{more}"))
            }
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
        let stuck = (!age.is_zero()).then(|| (age, remarks(info)));
        self.diagnose(|health| health.stuck = stuck);
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

/// What a peer that does not keep up says beside that.
fn remarks(info: &Info) -> String {
    let lag = Duration::from_millis(info.scheduler_lag_ms.into());
    let late = (lag >= LATE).then(|| format!(", and its scheduler is {lag:.1?} late"));
    let words: String = String::from_utf8_lossy(&info.data)
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MOST_WORDS)
        .collect();
    let said = (!words.is_empty()).then(|| format!(" ({words})"));
    [late, said].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn d12_what_a_stalled_peer_says_of_itself_is_shown_without_what_a_terminal_obeys() {
        let info = |lag, text: &'static str| Info {
            python_age_ms: 2000,
            scheduler_lag_ms: lag,
            data: Bytes::from_static(text.as_bytes()),
        };
        assert_eq!(remarks(&info(99, "")), "");
        assert_eq!(remarks(&info(1500, "")), ", and its scheduler is 1.5s late");
        assert_eq!(remarks(&info(0, "lane \u{1b}[31mpython\n")), " (lane [31mpython)");
    }
}
