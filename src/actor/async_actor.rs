//! Actors whose handlers may wait: one future for all messages of an actor.
//!
//! The future owns the actor and loops over its messages, so it is allocated once and a handler that
//! never waits costs no allocation. Messages go in and results come out through cells of the thread,
//! which are empty again before code that is not ours runs.

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{self, Poll, Waker};

use super::typed::{read, takes_bytes, unreadable};
use super::{Behaviour, Codec, Context, ExitReason, Flow};
use crate::mailbox::Payload;
use crate::pid::Pid;

/// An actor whose handler may wait. Messages are still handled one after another; urgent signals
/// (kill, exits) run while the handler waits.
///
/// ```
/// use std::time::Duration;
///
/// use myrmidon::Pid;
/// use myrmidon::actor::{AsyncActor, Flow};
///
/// struct Late(Duration);
///
/// impl AsyncActor for Late {
///     type Msg = String;
///
///     async fn handle(&mut self, message: String, _: Pid) -> Flow {
///         tokio::time::sleep(self.0).await;
///         println!("{message}");
///         Flow::Continue
///     }
/// }
/// ```
pub trait AsyncActor: Sized + Send + 'static {
    /// What it is sent.
    type Msg: Send + 'static;

    /// Handles one message. `pid` is the actor's own. Runs inside the tokio runtime of the mesh, so
    /// its timers and sockets may be used. Dropped where it waits if the actor is killed. Write it as
    /// `async fn`; it costs no allocation per message.
    fn handle(&mut self, message: Self::Msg, pid: Pid) -> impl Future<Output = Flow> + Send;

    /// As [`Actor::codec`](super::Actor::codec).
    fn codec() -> Option<Codec<Self::Msg>> {
        None
    }

    /// As [`Actor::upgrade`](super::Actor::upgrade).
    fn upgrade(&mut self, old: &mut dyn Any, version: u64) -> Result<(), String> {
        let _ = (old, version);
        Ok(())
    }
}

/// Runs an [`AsyncActor`] as a [`Behaviour`].
pub(crate) struct AsyncAdapter<A> {
    home: Home<A>,
    /// The loop is in the middle of a message.
    waiting: bool,
}

/// Where the actor is.
enum Home<A> {
    /// Before its first message, and after its state was asked for.
    Here(A),
    /// In its loop, which gives it back when told to.
    Loop(Pin<Box<dyn Future<Output = A> + Send>>),
    /// Dropped: cancelled, or its handler panicked.
    Gone,
}

thread_local! {
    /// What the loop that is polled next shall do.
    static ORDER: Cell<Option<Order>> = const { Cell::new(None) };
    /// What came of it, where it is done.
    static OUTCOME: Cell<Option<Outcome>> = const { Cell::new(None) };
}

enum Order {
    Handle(Payload),
    GiveBack,
}

enum Outcome {
    Handled(Flow),
    Unreadable,
}

impl<A: AsyncActor> AsyncAdapter<A> {
    pub(crate) fn new(actor: A) -> Self {
        Self { home: Home::Here(actor), waiting: false }
    }

    /// Puts the actor into its loop if it is not there.
    fn enter(&mut self, pid: Pid) {
        if matches!(self.home, Home::Loop(_)) {
            return;
        }
        self.home = match std::mem::replace(&mut self.home, Home::Gone) {
            Home::Here(actor) => Home::Loop(Box::pin(handle_all(actor, pid))),
            home => home,
        };
    }

    fn poll(&mut self, order: Option<Order>, cx: &mut Context<'_>) -> Flow {
        let Home::Loop(all) = &mut self.home else {
            return Flow::Stop(ExitReason::Other("the handler of an earlier message was lost".to_owned()));
        };
        if order.is_some() {
            ORDER.set(order);
        }
        // True also if the poll panics.
        self.waiting = true;
        let polled = all.as_mut().poll(&mut task::Context::from_waker(&cx.waker()));
        let outcome = OUTCOME.take();
        self.waiting = outcome.is_none();
        if let Poll::Ready(actor) = polled {
            self.home = Home::Here(actor);
        }
        match outcome {
            None => Flow::Waiting,
            Some(Outcome::Handled(flow)) => flow,
            Some(Outcome::Unreadable) => unreadable(cx),
        }
    }

    /// The actor, unless a message has it.
    fn at_home(&mut self) -> Option<&mut A> {
        if let Home::Loop(all) = &mut self.home
            && !self.waiting
        {
            ORDER.set(Some(Order::GiveBack));
            if let Poll::Ready(actor) = all.as_mut().poll(&mut task::Context::from_waker(Waker::noop())) {
                self.home = Home::Here(actor);
            }
        }
        match &mut self.home {
            Home::Here(actor) => Some(actor),
            Home::Loop(_) | Home::Gone => None,
        }
    }
}

/// Handles messages until the actor is asked for.
async fn handle_all<A: AsyncActor>(mut actor: A, pid: Pid) -> A {
    loop {
        let order = poll_fn(|_| ORDER.take().map_or(Poll::Pending, Poll::Ready)).await;
        let Order::Handle(message) = order else { return actor };
        let outcome = match read(message, A::codec()) {
            Some(message) => Outcome::Handled(actor.handle(message, pid).await),
            None => Outcome::Unreadable,
        };
        OUTCOME.set(Some(outcome));
    }
}

impl<A: AsyncActor> Behaviour for AsyncAdapter<A> {
    fn starts(&self) -> bool {
        false
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        self.enter(cx.pid());
        self.poll(Some(Order::Handle(message)), cx)
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Flow {
        self.poll(None, cx)
    }

    fn cancel(&mut self) {
        self.home = Home::Gone;
    }

    fn message_type(&self) -> TypeId {
        TypeId::of::<A::Msg>()
    }

    fn accepts_bytes(&self) -> bool {
        takes_bytes::<A::Msg>(A::codec().is_some())
    }

    fn state(&mut self) -> Option<&mut dyn Any> {
        self.at_home().map(|actor| actor as &mut dyn Any)
    }

    fn upgrade(&mut self, old: Option<&mut dyn Any>, version: u64) -> Result<(), String> {
        match (self.at_home(), old) {
            (Some(actor), Some(old)) => actor.upgrade(old, version),
            _ => Ok(()),
        }
    }
}
