//! The peer's monitors of our actors.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, Weak};

use super::{End, Link, lock, reason};
use crate::actor::{ExitReason, MonitorRef};
use crate::node::LocalNode;
use crate::node::tally::Place;
use crate::pid::Pid;
use crate::transport::CloseCode;
use crate::wire::MAX_NAME;
use crate::wire::level2::{Down, Frame, Monitor, Text16};

/// Monitors of one peer (L20).
const MAX_GUESTS: usize = 100_000;
/// Monitors and links that peers have with one actor (L20).
pub(super) const MAX_OF_TARGET: usize = 10_000;

/// By the peer's numbers.
#[derive(Default)]
pub(super) struct Guests {
    entries: Mutex<HashMap<u64, Guest>>,
}

struct Guest {
    pid: Pid,
    /// None until the actor has been told.
    monitor: Option<MonitorRef>,
    /// Its place among those of the actor.
    place: Option<Place<Pid>>,
}

/// What became of a number.
#[derive(Debug, PartialEq, Eq)]
enum Added {
    New,
    Known,
    TooMany,
}

impl Guests {
    /// Takes a monitor; a target that is dead or unknown is told of at once (S24).
    pub(super) fn watch(&self, link: &Arc<Link>, frame: Monitor) -> Result<(), End> {
        let name = frame.name.as_str();
        if name.len() > MAX_NAME {
            // It would be kept, and nobody has such a name.
            let reason = format!("a monitor by a name of {} bytes, at most {MAX_NAME}", name.len());
            return Err(End::Refused(CloseCode::TooLarge, reason));
        }
        let target = match frame.to {
            Some(pid) => Some(pid).filter(|pid| !link.shared.is_of_another_node(*pid)),
            None => link.shared.whereis(name),
        };
        let Some(pid) = target else {
            tell(link, &frame, frame.to, &ExitReason::NoProcess);
            return Ok(());
        };
        link.brakes.signals(link, pid)?;
        match self.add(frame.id, pid) {
            Added::New => {}
            Added::Known => return Ok(()),
            Added::TooMany => {
                tell(link, &frame, Some(pid), &ExitReason::Other("too many monitors".to_owned()));
                return Ok(());
            }
        }
        let place = link.shared.targets.place(pid, MAX_OF_TARGET);
        if place.is_none() {
            self.remove(frame.id);
            tell(link, &frame, Some(pid), &ExitReason::Other("too many monitors of that actor".to_owned()));
            return Ok(());
        }
        if let Some(guest) = lock(&self.entries).get_mut(&frame.id) {
            guest.place = place;
        }
        let (id, there) = (frame.id, Arc::downgrade(link));
        let on_exit = move |reason: &ExitReason| {
            if let Some(link) = Weak::upgrade(&there)
                && link.guests.remove(frame.id).is_some()
            {
                tell(&link, &frame, Some(pid), reason);
            }
        };
        let monitor = link.shared.local.watch(pid, Box::new(on_exit));
        if let Some(guest) = lock(&self.entries).get_mut(&id) {
            guest.monitor = Some(monitor);
        }
        Ok(())
    }

    /// Takes a monitor back.
    pub(super) fn unwatch(&self, local: &dyn LocalNode, id: u64) {
        if let Some(Guest { pid, monitor: Some(monitor), .. }) = self.remove(id) {
            local.unwatch(pid, monitor);
        }
    }

    /// The link is over. In the order of the numbers, and not in that of a hash, so that a simulation repeats.
    pub(super) fn clear(&self, local: &dyn LocalNode) {
        let mut guests: Vec<_> = std::mem::take(&mut *lock(&self.entries)).into_iter().collect();
        guests.sort_unstable_by_key(|(id, _)| *id);
        for (_, Guest { pid, monitor, .. }) in guests {
            if let Some(monitor) = monitor {
                local.unwatch(pid, monitor);
            }
        }
    }

    /// A number that is used twice keeps its first monitor.
    fn add(&self, id: u64, pid: Pid) -> Added {
        let mut entries = lock(&self.entries);
        let len = entries.len();
        match entries.entry(id) {
            Entry::Occupied(_) => Added::Known,
            Entry::Vacant(_) if len >= MAX_GUESTS => Added::TooMany,
            Entry::Vacant(place) => {
                place.insert(Guest { pid, monitor: None, place: None });
                Added::New
            }
        }
    }

    fn remove(&self, id: u64) -> Option<Guest> {
        lock(&self.entries).remove(&id)
    }
}

fn tell(link: &Link, frame: &Monitor, pid: Option<Pid>, why: &ExitReason) {
    let (reason, text) = reason::to_wire(why);
    let down = Down {
        id: frame.id,
        to: frame.from,
        pid,
        reason,
        name: frame.name.clone(),
        text: Text16::from(text.as_str()),
    };
    link.push(frame.from, Frame::Down(Box::new(down)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l20_a_number_that_is_used_twice_is_one_monitor() {
        let (guests, pid) = (Guests::default(), Pid::new(1, 1).unwrap());
        assert_eq!(guests.add(7, pid), Added::New);
        assert_eq!(guests.add(7, pid), Added::Known, "it is not watched again");
        for id in 100..100 + MAX_GUESTS as u64 - 1 {
            assert_eq!(guests.add(id, pid), Added::New);
        }
        assert_eq!((guests.add(8, pid), guests.add(7, pid)), (Added::TooMany, Added::Known));
        assert!(guests.remove(7).is_some());
        assert_eq!(guests.add(8, pid), Added::New);
    }
}
