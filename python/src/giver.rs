//! The behaviour of actors whose code runs somewhere else. It runs no Python, and so on the workers.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use myrmidon::Pid;
use myrmidon::actor::{Behaviour, Context, ExitReason, Flow, SystemMessage};
use myrmidon::mailbox::Payload;
use pyo3::prelude::*;

use crate::async_handler::AsyncHandler;
use crate::class_actor::ClassActor;
use crate::code::Code;
use crate::handler::is_for_code;
use crate::loop_bell::Bell;
use crate::pull::Function;
use crate::shelf::Item;

/// Gives the messages of an actor to its code.
pub(crate) struct Giver {
    code: Arc<Code>,
    kind: Kind,
    /// The actor is to end, and until when it waits for calls that were cancelled.
    ends: Option<Instant>,
}

/// How long calls that were cancelled may take to come to their end before their actor does: as long as a child of a
/// supervisor may take to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the code has to know before anybody can wait for its actor, whose first turn may come later.
pub(crate) struct Ties {
    code: Arc<Code>,
    bell: Option<Bell>,
}

impl Ties {
    /// Says whose the code is. Whether its loop has ended shows in the first turn.
    pub(crate) fn bind(&self, pid: Pid) {
        self.code.belong(pid);
        if let Some(bell) = &self.bell {
            bell.depends(&self.code);
        }
    }
}

/// What the code is.
pub(crate) enum Kind {
    /// Called for each message.
    Handler(Arc<AsyncHandler>, Unsaid),
    /// Called once, and takes the messages itself.
    Function(Function),
}

/// What nobody has said about how a handler runs, and is as with the code that it replaces.
#[derive(Clone, Copy, Default)]
pub(crate) struct Unsaid {
    pub(crate) event_loop: bool,
    pub(crate) concurrency: bool,
    pub(crate) budget: bool,
}

impl Kind {
    /// The bell of the loop in which the code runs, if it runs in one.
    fn bell(&self) -> Option<&Bell> {
        match self {
            Self::Handler(handler, _) => Some(&handler.bell),
            Self::Function(function) => function.bell(),
        }
    }
}

impl Giver {
    pub(crate) fn new(code: Arc<Code>, kind: Kind) -> Self {
        Self { code, kind, ends: None }
    }

    /// The giver of a behaviour that shows this state, itself or that of a class actor.
    pub(crate) fn behind(state: &dyn Any) -> Option<&Self> {
        state.downcast_ref::<Self>().or_else(|| state.downcast_ref().and_then(ClassActor::in_loop))
    }

    /// What ties its code to the actor.
    pub(crate) fn ties(&self) -> Ties {
        Ties { code: self.code.clone(), bell: self.kind.bell().cloned() }
    }

    /// As `started`, and gives `first` to the code before any message.
    pub(crate) fn started_with(&mut self, first: Py<PyAny>, cx: &mut Context<'_>) -> Flow {
        match self.started(cx) {
            Flow::Continue => self.give(Item::first(first), cx),
            flow => flow,
        }
    }

    /// Runs as `before` does, where nobody has said how. Done once, before it runs.
    fn run_as(&mut self, before: &Kind) {
        let Kind::Handler(handler, unsaid) = &mut self.kind else { return };
        let (unsaid, Some(handler)) = (std::mem::take(unsaid), Arc::get_mut(handler)) else { return };
        if unsaid.event_loop
            && let Some(bell) = before.bell()
        {
            handler.bell = bell.clone();
        }
        let Kind::Handler(before, _) = before else { return };
        if unsaid.concurrency {
            handler.concurrency = before.concurrency;
            self.code.shelf.allow(before.concurrency);
        }
        if unsaid.budget {
            handler.budget = before.budget;
        }
    }

    /// Puts something on the shelf, and sees to it that somebody comes for it.
    fn give(&mut self, item: Item, cx: &Context<'_>) -> Flow {
        self.code.belong(cx.pid());
        let room = self.code.shelf.put(item, || cx.waker());
        match self.call() {
            Ok(()) if room => Flow::Continue,
            Ok(()) => Flow::Waiting,
            Err(reason) => Flow::Stop(reason),
        }
    }

    /// Says whose the code is, and has the actor end with the loop in which it runs.
    fn settle(&mut self, cx: &Context<'_>) -> Flow {
        self.code.belong(cx.pid());
        let runs = self.kind.bell().is_none_or(|bell| bell.depends(&self.code));
        if runs { Flow::Continue } else { Flow::Stop(ExitReason::Shutdown) }
    }

    fn call(&mut self) -> Result<(), ExitReason> {
        match &mut self.kind {
            // A loop that has ended serves nobody any more.
            Kind::Handler(handler, _) if handler.bell.is_over() => Err(ExitReason::Shutdown),
            Kind::Handler(handler, _) => {
                handler.serve(&self.code);
                Ok(())
            }
            Kind::Function(function) if function.is_lost() => Err(ExitReason::Shutdown),
            Kind::Function(_) if self.code.shelf.is_busy() => Ok(()),
            Kind::Function(function) => function.start(&self.code),
        }
    }
}

impl Behaviour for Giver {
    /// A function runs from the first moment, a handler from its first message.
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        match self.settle(cx) {
            Flow::Continue if matches!(self.kind, Kind::Function(_)) => {
                self.call().map_or_else(Flow::Stop, |()| Flow::Continue)
            }
            flow => flow,
        }
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        self.give(Item::sent(message), cx)
    }

    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        if is_for_code(&message, cx) {
            return self.give(Item::system(cx.pid(), message), cx);
        }
        let is_new = matches!(message, SystemMessage::HotSwap { error: None, .. });
        if is_new { self.started(cx) } else { Flow::Continue }
    }

    /// Only calls of a handler are waited for: a function sees its mailbox end, and may go on with other things.
    fn wind_up(&mut self, _: &ExitReason, cx: &mut Context<'_>) -> Flow {
        let Kind::Handler(handler, _) = &self.kind else { return Flow::Continue };
        if handler.bell.is_over() || self.code.shelf.wind_up(|| cx.waker()) {
            return Flow::Continue;
        }
        self.ends = Some(cx.now() + PATIENCE);
        self.code.wake_after(PATIENCE, cx.waker());
        Flow::Waiting
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Flow {
        if let Some(limit) = self.ends {
            let over = cx.now() >= limit || self.code.shelf.wind_up(|| cx.waker());
            return if over { Flow::Continue } else { Flow::Waiting };
        }
        if self.code.shelf.has_room(|| cx.waker()) { Flow::Continue } else { Flow::Waiting }
    }

    fn conclude(&mut self, cx: &mut Context<'_>) -> Flow {
        if self.code.shelf.close(|| cx.waker()) { Flow::Continue } else { Flow::Waiting }
    }

    fn state(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }

    fn upgrade(&mut self, old: Option<&mut dyn Any>, _: u64) -> Result<(), String> {
        if let Some(before) = old.and_then(|old| Self::behind(old)) {
            self.run_as(&before.kind);
        }
        Ok(())
    }

    fn runs_anywhere(&self) -> bool {
        true
    }

    fn lane(&self, _: u32) -> u32 {
        0
    }
}

/// What is given is lost once the actor has ended, so that who asked finds it dead.
impl Drop for Giver {
    fn drop(&mut self) {
        self.code.dismiss();
    }
}
