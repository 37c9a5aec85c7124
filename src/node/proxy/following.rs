//! The names that are followed, each by one proxy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::absence::{Absence, Sought};
use super::error::RemoteError;
use super::finding::Target;
use super::follower::Follower;
use super::seeking::behind;
use crate::actor::ExitReason;
use crate::node::Node;
use crate::node::error::ResolveError;
use crate::pid::Pid;
use crate::transport::NodeAddr;

/// By address and name.
#[derive(Default)]
pub(in crate::node) struct Following(Mutex<HashMap<Sought, Arc<Follower>>>);

impl Following {
    fn get(&self, sought: &Sought) -> Option<Pid> {
        self.lock().get(sought).and_then(|follower| follower.proxy())
    }

    /// Whether this PID follows a name itself.
    pub(super) fn leads(&self, pid: Pid) -> bool {
        self.lock().values().any(|follower| follower.proxy() == Some(pid))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sought, Arc<Follower>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// See [`Runtime::follow`](crate::Runtime::follow).
    pub(crate) async fn follow(&self, addr: &NodeAddr, name: String) -> Result<Pid, RemoteError> {
        let shared = self.shared();
        let (neighbours, following) = (&shared.neighbours, &shared.neighbours.following);
        let sought = Sought { addr: addr.clone(), name };
        if let Some(proxy) = following.get(&sought) {
            return Ok(proxy);
        }
        let found = self.remote(addr, Target::Name(sought.name.clone())).await?;
        let system = neighbours.system().ok_or(ResolveError::Closed)?;
        let found = behind(self, found).map_err(|absence| match absence {
            Absence::Nobody => RemoteError::NoName { addr: addr.clone(), name: sought.name.clone() },
            _ => ResolveError::Closed.into(),
        })?;
        let mut followers = following.lock();
        if let Some(proxy) = followers.get(&sought).and_then(|follower| follower.proxy()) {
            return Ok(proxy);
        }
        if !neighbours.count_one() {
            return Err(RemoteError::TooMany(shared.config.max_proxies));
        }
        let follower = Follower::new(sought.clone(), self.downgrade(), shared, found);
        let proxy = system.proxy(follower.clone());
        follower.is(proxy);
        followers.insert(sought, follower.clone());
        drop(followers);
        follower.watch_over();
        Ok(proxy)
    }

    /// See [`Runtime::unfollow`](crate::Runtime::unfollow).
    pub(crate) fn unfollow(&self, proxy: Pid) -> bool {
        let neighbours = &self.shared().neighbours;
        let removed: Vec<_> = {
            let mut followers = neighbours.following.lock();
            followers.extract_if(|_, follower| follower.proxy() == Some(proxy)).collect()
        };
        for (_, follower) in &removed {
            neighbours.uncount_one();
            self.shared().lose(follower.end());
            if let Some(system) = neighbours.system() {
                system.end_proxy(proxy, ExitReason::Normal);
            }
        }
        !removed.is_empty()
    }
}
