//! The behaviour of actors whose code runs somewhere else. It runs no Python, and so on the workers.

use std::sync::Arc;

use myrmidon::actor::{Behaviour, Context, ExitReason, Flow, SystemMessage};
use myrmidon::mailbox::Payload;

use crate::async_handler::AsyncHandler;
use crate::code::Code;
use crate::handler::is_for_code;
use crate::loop_bell::Bell;
use crate::pull::Function;
use crate::shelf::Item;

/// Gives the messages of an actor to its code.
pub(crate) struct Giver {
    code: Arc<Code>,
    kind: Kind,
}

/// What the code is.
pub(crate) enum Kind {
    /// Called for each message.
    Handler(Arc<AsyncHandler>),
    /// Called once, and takes the messages itself.
    Function(Function),
}

impl Kind {
    /// The bell of the loop in which the code runs, if it runs in one.
    fn bell(&self) -> Option<&Bell> {
        match self {
            Self::Handler(handler) => Some(&handler.bell),
            Self::Function(function) => function.bell(),
        }
    }
}

impl Giver {
    pub(crate) fn new(code: Arc<Code>, kind: Kind) -> Self {
        Self { code, kind }
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
            Kind::Handler(handler) if handler.bell.is_over() => Err(ExitReason::Shutdown),
            Kind::Handler(handler) => {
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

    fn resume(&mut self, cx: &mut Context<'_>) -> Flow {
        if self.code.shelf.has_room(|| cx.waker()) { Flow::Continue } else { Flow::Waiting }
    }

    fn conclude(&mut self, cx: &mut Context<'_>) -> Flow {
        if self.code.shelf.close(|| cx.waker()) { Flow::Continue } else { Flow::Waiting }
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
