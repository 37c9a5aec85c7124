//! The tokio runtime of the mesh, and the threads that drive it.
//!
//! With one thread for the sockets, which is the rule, there are two of ours: one drives the loop, and runs actors in between
//! ([`Inline`]), or lends it to a lane that waits; the other takes over where such an actor takes its time. With more, tokio's own threads drive it, and all actors are the workers'.

use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::thread;

use crate::config::RuntimeConfig;
use crate::scheduler::{Drive, Inline, Leave};
use crate::sync::be_prompt;

const NAME: &str = "myrmidon-io";
/// The most tasks that run between two looks at [`Leave`]: an actor kept for the driver waits for so many at most.
const TASKS: u32 = 4;

/// The tokio runtime of the mesh.
pub(super) enum Io {
    Own(Own),
    /// That of a simulation, which runs on this very thread: nobody can wait for it here.
    Given,
}

impl Io {
    /// What its driver runs besides; nothing where that is a test.
    pub(super) fn inline(&self) -> Arc<Inline> {
        match self {
            Self::Own(own) => own.inline.clone(),
            Self::Given => Arc::new(Inline::new()),
        }
    }
}

/// A loop that belongs to this runtime.
pub(super) struct Own {
    /// Whoever holds it last ends it: not a thread that is away from it, which may be away for ever.
    sockets: Option<Arc<Sockets>>,
    inline: Arc<Inline>,
}

/// Everything ends with it, without anybody waiting for that.
struct Sockets(Option<tokio::runtime::Runtime>);

impl Own {
    /// A loop and its threads.
    ///
    /// # Errors
    /// If the system refuses threads, or what tokio needs.
    pub(super) fn start(config: &RuntimeConfig) -> std::io::Result<(tokio::runtime::Handle, Self)> {
        let alone = config.io_threads <= 1;
        let mut builder = match alone {
            true => tokio::runtime::Builder::new_current_thread(),
            false => tokio::runtime::Builder::new_multi_thread(),
        };
        if alone {
            builder.event_interval(TASKS);
        } else {
            builder.worker_threads(config.io_threads).on_thread_start(be_prompt);
        }
        let sockets = builder.thread_name(NAME).enable_all().build()?;
        let handle = sockets.handle().clone();
        let sockets = Arc::new(Sockets(Some(sockets)));
        let own = Self { sockets: Some(sockets.clone()), inline: Arc::new(Inline::new()) };
        if alone {
            own.inline.connect(Box::new(Arc::downgrade(&sockets)));
            (0..2).try_for_each(|me| own.drive(me, Arc::downgrade(&sockets)))?;
        }
        Ok((handle, own))
    }

    fn drive(&self, me: usize, sockets: Weak<Sockets>) -> std::io::Result<()> {
        let inline = self.inline.clone();
        let drive = move || {
            be_prompt();
            inline.serve(me, || sockets.drive(pin!(Leave)));
        };
        thread::Builder::new().name(NAME.to_owned()).spawn(drive).map(drop)
    }

    fn sockets(&self) -> Option<&tokio::runtime::Runtime> {
        self.sockets.as_ref().and_then(|sockets| sockets.0.as_ref())
    }

    /// Runs a task there.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(sockets) = self.sockets() {
            sockets.spawn(task);
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.inline.close();
        self.spawn(async { Leave::last() });
        self.sockets = None;
    }
}

impl Drive for Weak<Sockets> {
    fn drive(&self, until: Pin<&mut dyn Future<Output = ()>>) -> bool {
        let Some(sockets) = self.upgrade() else { return false };
        sockets.0.as_ref().map(|sockets| sockets.block_on(until)).is_some()
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if let Some(sockets) = self.0.take() {
            sockets.shutdown_background();
        }
    }
}
