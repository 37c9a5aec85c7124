//! Going down, in this order: no more restarts; no more timers; what is queued is handled, for a
//! while; what waits for other nodes is written and the node closes; every actor is killed; who still
//! waits for room, a time or an answer is woken; the threads end; actors that wait behind a handler which does
//! not return are ended in its place.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::Inner;
use super::io::Io;
use crate::actor::Signal;

/// How long killed actors may take to end; a handler that does not return is left behind.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// A drain longer than the clock can count: thirty years.
const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The part of a drain that the node has in any case, however long actors take: to say goodbye, and to hear what arrived.
const GOODBYE: Duration = Duration::from_millis(250);

/// The least part of it, also where nothing is waited for: without a goodbye, peers would take the node for crashed.
const FAREWELL: Duration = Duration::from_millis(50);

/// How long the node may take to close beyond its drain.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

impl Inner {
    pub(super) fn shutdown(&self, drain: Duration, held: &dyn Fn() -> usize) -> usize {
        let io = self.io.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(io) = io else { return 0 };
        let now = self.system.clock().now();
        let deadline = now.checked_add(drain).unwrap_or(now + FOREVER);
        self.scheduler.retire_inline();
        self.supervisor.stop();
        self.timers.stop();
        self.drain_mailboxes(deadline, drain, held);
        let left = self.waiting() + held();
        let for_node =
            deadline.saturating_duration_since(self.system.clock().now()).max(drain.clamp(FAREWELL, GOODBYE));
        let unwritten = self.close_node(&io, for_node);
        self.system.end_proxies();
        self.scheduler.unbind();
        self.kill_all();
        self.system.living().for_each(|pid| self.system.abandon_mailbox(pid));
        self.timers.close();
        self.scheduler.stop();
        let deadline = Instant::now() + KILL_LIMIT;
        self.join_threads(deadline);
        self.await_sockets(deadline);
        if self.scheduler.end_abandoned(&self.system) {
            self.join_threads(Instant::now() + KILL_LIMIT);
        }
        drop(io);
        left + unwritten
    }

    /// Closes the node; the number of messages it had not written. Works also inside another tokio
    /// runtime, where blocking on a future would panic.
    fn close_node(&self, io: &Io, drain: Duration) -> usize {
        let Io::Own(io) = io else { return 0 };
        let (tell, told) = sync_channel(1);
        let node = self.node.clone();
        io.spawn(async move {
            let _ = tell.send(node.shutdown(drain).await);
        });
        told.recv_timeout(drain.saturating_add(CLOSE_LIMIT)).unwrap_or_default()
    }

    /// Waits until all messages are handled, those behind a parked handler included.
    ///
    /// Elsewhere than on its own thread the time of a simulation may stand still for ever: there
    /// the machine's counts too.
    fn drain_mailboxes(&self, deadline: Instant, drain: Duration, held: &dyn Fn() -> usize) {
        let began = Instant::now();
        // What is held may become a message, and a message may be held or in a handler, between two looks.
        let is_busy = || !self.scheduler.wait_quiet(self.system.clock().now());
        let unhandled = || held() > 0 || self.waiting() > 0 || held() > 0 || is_busy();
        while self.scheduler.wait_quiet(deadline)
            && unhandled()
            && self.system.clock().now() < deadline
            && (self.scheduler.keeps_time() || began.elapsed() < drain)
        {
            self.scheduler.pause(Duration::from_millis(1));
        }
    }

    /// Messages in mailboxes.
    fn waiting(&self) -> usize {
        self.system.living().filter_map(|pid| self.system.mailbox_size(pid)).sum()
    }

    /// Kills until nobody lives: an actor may start others before its own end.
    fn kill_all(&self) {
        let deadline = Instant::now() + KILL_LIMIT;
        let mut killed = HashSet::new();
        loop {
            let living: Vec<_> = self.system.living().collect();
            if living.is_empty() || Instant::now() >= deadline {
                return;
            }
            for pid in living.into_iter().filter(|pid| killed.insert(*pid)) {
                self.system.signal(pid, Signal::Kill);
            }
            self.scheduler.pause(Duration::from_micros(200));
        }
    }

    fn join_threads(&self, deadline: Instant) {
        while let Some(thread) = self.scheduler.next_thread() {
            // One that drops the last handle of its own runtime cannot wait for itself.
            let own = thread.thread().id() == thread::current().id();
            while !own && !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_micros(200));
            }
            if !own && thread.is_finished() {
                let _ = thread.join();
            }
        }
    }

    /// Waits for the slice that the thread of the sockets runs; that thread itself is not waited for.
    fn await_sockets(&self, deadline: Instant) {
        while self.scheduler.runs_inline() && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO, &|| 0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::Runtime;
    use crate::actor::{LaterSend, Reference, Remote, Reply};
    use crate::error::SendError;
    use crate::mailbox::Payload;
    use crate::pid::Pid;

    /// Nobody.
    struct Absent;

    impl Remote for Absent {
        fn send(&self, pid: Pid, message: Bytes) -> Result<(), SendError<Bytes>> {
            Err(SendError::NoProcess { pid, message })
        }

        fn ask(&self, _: Bytes, _: Reply<Payload>, _: Option<Instant>) {}

        fn signal(&self, _: Pid, signal: Signal) -> Result<(), Signal> {
            Err(signal)
        }

        fn send_later(&self, pid: Pid, message: Bytes, _: Option<Duration>) -> LaterSend<'_> {
            Box::pin(std::future::ready(self.send(pid, message)))
        }

        fn takes_links(&self) -> bool {
            false
        }

        fn reference(&self) -> Reference {
            Reference::new(None, None, Pid::new(1, 1).expect("a PID"))
        }
    }

    /// Its slot would never be free again, and the memory of all slots around it be given up.
    #[test]
    fn a_proxy_that_is_made_when_its_runtime_has_gone_down_is_dead() {
        let rt = Runtime::new().expect("a runtime");
        let system = rt.inner.system.clone();
        let before = system.proxy(Arc::new(Absent));
        assert!(system.is_alive(before));
        rt.shutdown(Duration::ZERO);
        let after = system.proxy(Arc::new(Absent));
        assert!(!system.is_alive(before) && !system.is_alive(after));
        assert!(system.send(after, "x".into()).is_err());
    }
}
