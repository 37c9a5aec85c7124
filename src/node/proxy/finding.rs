//! From an address and a name, or a reference, to a proxy.

use std::sync::Arc;

use super::error::RemoteError;
use super::plain::Plain;
use crate::actor::Reference;
use crate::node::Node;
use crate::node::error::ResolveError;
use crate::node::link::{Life, Link};
use crate::node::peer::Peer;
use crate::node::standing::Up;
use crate::pid::Pid;
use crate::transport::NodeAddr;

/// Which actor of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// The one that has this name now.
    Name(String),
    /// The one with this PID over there.
    Pid(Pid),
}

impl From<&str> for Target {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for Target {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<Pid> for Target {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl Node {
    /// See [`Runtime::remote`](crate::Runtime::remote).
    pub(crate) async fn remote(&self, addr: &NodeAddr, target: Target) -> Result<Pid, RemoteError> {
        let peer = self.peer(addr).map_err(ResolveError::from)?;
        match peer.reached_now().await? {
            Up::Here => self.own(addr, target),
            Up::One => {
                let far = named(&peer, target).await?;
                self.plain(addr, far)
            }
            Up::Two(link) => {
                let far = named(&peer, target).await?;
                self.linked(&peer, &link, far)
            }
        }
    }

    /// See [`Runtime::remote_by_reference`](crate::Runtime::remote_by_reference).
    pub(crate) async fn remote_by_reference(&self, reference: &Reference) -> Result<Pid, RemoteError> {
        let Some((node, incarnation)) = reference.life() else {
            let addr = reference.addr().ok_or(RemoteError::NoAddress)?;
            return self.remote(addr, Target::Pid(reference.pid())).await;
        };
        let life = Life { node, incarnation };
        if life == self.shared().links.life() {
            return Ok(reference.pid());
        }
        if let Some(link) = self.shared().links.with(life) {
            let proxy = self.proxy(None, &link, reference.pid())?;
            self.find_way(&link, reference.addr());
            return Ok(proxy);
        }
        let addr = reference.addr().ok_or(RemoteError::NoAddress)?;
        let peer = self.peer(addr).map_err(ResolveError::from)?;
        match peer.reached_now().await? {
            Up::Two(link) if link.peer == life => self.linked(&peer, &link, reference.pid()),
            _ => Err(RemoteError::Restarted { addr: addr.clone() }),
        }
    }

    /// The words for an actor of this node.
    pub(crate) fn reference(&self, pid: Pid) -> Reference {
        let Life { node, incarnation } = self.shared().links.life();
        Reference::new(self.shared().advertised(), Some((node, incarnation)), pid)
    }

    /// Finds out in the background whether the node at the other end of `link`, which has dialled us, can be dialled
    /// where it is said to be, so that its proxies find back there when the link breaks. Until that is known they have
    /// the link alone: what is said may be wrong, or true for others only.
    fn find_way(&self, link: &Link, said: Option<&NodeAddr>) {
        let life = link.peer;
        if self.shared().neighbours.has_way(life) {
            return;
        }
        let Some(addr) = said.or(link.advertised.as_ref()) else { return };
        let Ok(peer) = self.peer(addr) else { return };
        self.shared().spawn(async move {
            if let Ok(Up::Two(link)) = peer.reached_now().await
                && link.peer == life
            {
                peer.shared.neighbours.of(&link, Some(&peer));
            }
        });
    }

    /// The address is this very node's: no proxy is needed.
    fn own(&self, addr: &NodeAddr, target: Target) -> Result<Pid, RemoteError> {
        match target {
            Target::Pid(pid) => Ok(pid),
            Target::Name(name) => {
                let found = self.shared().local.whereis(&name);
                found.ok_or_else(|| RemoteError::NoName { addr: addr.clone(), name })
            }
        }
    }

    fn linked(&self, peer: &Arc<Peer>, link: &Arc<Link>, far: Pid) -> Result<Pid, RemoteError> {
        if !link.is_up() {
            let reason = "the link broke; try again".to_owned();
            return Err(ResolveError::NoConnection { addr: peer.addr.clone(), reason }.into());
        }
        self.proxy(Some(peer), link, far)
    }

    fn proxy(&self, peer: Option<&Arc<Peer>>, link: &Arc<Link>, far: Pid) -> Result<Pid, RemoteError> {
        let neighbours = &self.shared().neighbours;
        neighbours.make_room();
        let proxy = neighbours.of(link, peer).proxy(far);
        proxy.ok_or(RemoteError::TooMany(self.shared().config.max_proxies))
    }

    /// A proxy for an actor of a level-1 node. It ends when that node is lost, since nobody can tell one
    /// life of it from another.
    fn plain(&self, addr: &NodeAddr, far: Pid) -> Result<Pid, RemoteError> {
        let neighbours = &self.shared().neighbours;
        neighbours.make_room();
        let remote = || Plain::new(self.downgrade(), addr.clone(), far);
        let (proxy, new) = neighbours
            .plain(addr, far, remote)
            .ok_or(RemoteError::TooMany(self.shared().config.max_proxies))?;
        if new {
            let (shared, at) = (Arc::downgrade(self.shared()), addr.clone());
            let on_down = move |down: crate::node::RemoteDown| {
                if let Some(shared) = shared.upgrade() {
                    shared.neighbours.plain_ended(&at, far, &down.reason.into_exit(&at));
                }
            };
            self.monitor(addr, far, Box::new(on_down));
        }
        Ok(proxy)
    }
}

/// The PID over there.
async fn named(peer: &Peer, target: Target) -> Result<Pid, RemoteError> {
    match target {
        Target::Pid(pid) => Ok(pid),
        Target::Name(name) => {
            let found = peer.resolve(name.clone()).await?;
            found.ok_or_else(|| RemoteError::NoName { addr: peer.addr.clone(), name })
        }
    }
}
