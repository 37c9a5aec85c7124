//! Going down, in this order: no more restarts; no more timers; what is queued is handled, for a
//! while; what waits for other nodes is written and the node closes; every actor is killed; the
//! threads end.

use std::sync::PoisonError;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::Inner;
use crate::actor::Signal;

/// How long killed actors may take to end; a handler that does not return is left behind.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// How long the node may take to close beyond its drain.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

impl Inner {
    pub(super) fn shutdown(&self, drain: Duration) -> usize {
        let io = self.io.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(io) = io else { return 0 };
        let deadline = Instant::now() + drain;
        self.supervisor.stop();
        self.timers.stop();
        self.scheduler.wait_quiet(deadline);
        let left: usize = self.system.living().filter_map(|pid| self.system.mailbox_size(pid)).sum();
        let unwritten = self.close_node(&io, deadline.saturating_duration_since(Instant::now()));
        self.kill_all();
        self.scheduler.stop();
        self.join_workers();
        io.shutdown_background();
        left + unwritten
    }

    /// Closes the node; the number of messages it had not written. Works also inside another tokio
    /// runtime, where blocking on a future would panic.
    fn close_node(&self, io: &tokio::runtime::Runtime, drain: Duration) -> usize {
        let (tell, told) = sync_channel(1);
        let node = self.node.clone();
        io.spawn(async move {
            let _ = tell.send(node.shutdown(drain).await);
        });
        told.recv_timeout(drain + CLOSE_LIMIT).unwrap_or_default()
    }

    fn kill_all(&self) {
        let deadline = Instant::now() + KILL_LIMIT;
        for pid in self.system.living().collect::<Vec<_>>() {
            self.system.signal(pid, Signal::Kill);
        }
        while self.system.living().next().is_some() && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn join_workers(&self) {
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = Instant::now() + KILL_LIMIT;
        for worker in workers {
            // A worker that drops the last handle of its own runtime cannot wait for itself.
            let own = worker.thread().id() == thread::current().id();
            while !own && !worker.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_micros(200));
            }
            if !own && worker.is_finished() {
                let _ = worker.join();
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}
