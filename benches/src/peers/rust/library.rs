//! What a workload needs of an actor library.

use crate::measure::Figures;

/// What an actor does with its messages.
pub(super) trait Script<L: Library>: Send + 'static {
    type Msg: Send + 'static;

    /// `me` makes a reference to the actor itself.
    fn handle(&mut self, message: Self::Msg, me: impl FnOnce() -> L::Ref<Self>) -> Next
    where
        Self: Sized;
}

/// What comes after a message.
#[derive(PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Stop,
}

/// On how many threads a library runs that does not move actors between threads; the others always have
/// one thread for each core.
#[derive(Clone, Copy)]
pub(super) enum Threads {
    /// Where messages go to and fro: there another thread only costs.
    One,
    /// Where there is work for all.
    All,
}

impl Threads {
    pub(super) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::All => std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// An actor library that runs.
pub(super) trait Library: Sized + 'static {
    /// A reference to an actor.
    type Ref<S: Script<Self>>: Clone + Send + Sync + 'static;

    /// Starts the library, does `work` on this thread, and stops it.
    fn with(threads: Threads, work: impl FnOnce(&Self) -> Figures) -> Figures;

    /// Starts an actor from outside.
    fn spawn<S: Script<Self>>(&self, script: S) -> Self::Ref<S>;

    /// Starts an actor from inside a handler.
    fn spawn_inside<S: Script<Self>>(script: S) -> Self::Ref<S>;

    /// Sends a message; whether the actor lived.
    fn tell<S: Script<Self>>(to: &Self::Ref<S>, message: S::Msg) -> bool;
}

/// A tokio runtime with a thread for each core, entered by this thread while `work` runs.
pub(super) fn with_tokio(work: impl FnOnce(&tokio::runtime::Runtime) -> Figures) -> Figures {
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(Threads::All.count())
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let figures = {
        let _inside = rt.enter();
        work(&rt)
    };
    drop(rt);
    figures
}
