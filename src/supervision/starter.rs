//! What a child's start function starts its actor with.

use std::sync::Arc;

use crate::actor::{
    Actor, AsyncActor, AsyncAdapter, Behaviour, BytesFn, Context, ExitReason, Flow, Signal, SpawnOptions,
    SyncAdapter, System, bytes_fn,
};
use crate::pid::Pid;

/// Starts actors that are linked to a supervisor from their first instruction (S35): it hears of their
/// end with its reason however soon that comes, and they do not outlive it.
pub struct Starter {
    system: Arc<System>,
    supervisor: Pid,
}

impl Starter {
    pub(crate) fn new(system: Arc<System>, supervisor: Pid) -> Self {
        Self { system, supervisor }
    }

    /// The supervisor.
    pub fn supervisor(&self) -> Pid {
        self.supervisor
    }

    /// Starts an actor with default options.
    pub fn spawn<A: Actor>(&self, actor: A) -> Pid {
        self.spawn_with(actor, SpawnOptions::default())
    }

    /// Starts an actor. Whom the options link it to is decided here.
    pub fn spawn_with<A: Actor>(&self, actor: A, options: SpawnOptions) -> Pid {
        self.spawn_behaviour(Box::new(SyncAdapter(actor)), options)
    }

    /// Starts an actor whose handler may wait.
    pub fn spawn_async<A: AsyncActor>(&self, actor: A, options: SpawnOptions) -> Pid {
        self.spawn_behaviour(Box::new(AsyncAdapter::new(actor)), options)
    }

    /// Starts an actor made of a function over bytes.
    pub fn spawn_fn<F, R>(&self, function: F) -> Pid
    where
        F: FnMut(bytes::Bytes, &mut Context<'_>) -> R + Send + 'static,
        R: Into<Flow>,
        BytesFn<F>: Behaviour,
    {
        self.spawn_behaviour(Box::new(bytes_fn(function)), SpawnOptions::default())
    }

    /// Asks an actor to stop, as [`Runtime::stop`](crate::Runtime::stop) does: for a start function that
    /// cannot finish what it began.
    pub fn stop(&self, pid: Pid) -> bool {
        self.system.signal(pid, Signal::Stop(ExitReason::Normal))
    }

    /// Starts any behaviour.
    pub fn spawn_behaviour(&self, behaviour: Box<dyn Behaviour>, options: SpawnOptions) -> Pid {
        self.system.spawn(behaviour, SpawnOptions { linked: Some(self.supervisor), ..options })
    }
}
