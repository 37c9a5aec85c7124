//! How an actor is started, as Python says it.

use std::cell::{Cell, RefCell};

use myrmidon::Pid;
use myrmidon::actor::{Priority, SpawnOptions};
use myrmidon::mailbox::{Mailbox, Overflow};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::actors::living;
use crate::loop_bell::Bell;
use crate::number::{Id, capacity};

/// Messages of one turn, unless told otherwise.
pub(crate) const USUAL_BUDGET: u32 = 100;

thread_local! {
    /// The supervisor for which this thread runs a start function.
    static STARTING_FOR: Cell<Option<Pid>> = const { Cell::new(None) };
    /// The loop in which async code runs that such a function starts.
    static STARTING_IN: RefCell<Option<Bell>> = const { RefCell::new(None) };
}

/// Links the actors that this thread starts to `supervisor` while this lives, and has their async code run in the loop
/// that was running where the supervisor was given the child.
pub(crate) struct StartingFor(Option<Pid>, Option<Bell>);

impl StartingFor {
    pub(crate) fn of(supervisor: Pid, event_loop: Option<Bell>) -> Self {
        Self(STARTING_FOR.replace(Some(supervisor)), STARTING_IN.replace(event_loop))
    }
}

impl Drop for StartingFor {
    fn drop(&mut self) {
        STARTING_FOR.set(self.0);
        STARTING_IN.set(self.1.take());
    }
}

/// The loop for async code that this thread starts where none runs.
pub(crate) fn starting_in() -> Option<Bell> {
    STARTING_IN.with_borrow(Clone::clone)
}

/// `myrmidon.Bounded`, by its attributes.
struct Bounded {
    capacity: usize,
    policy: String,
    redirect_to: Option<Id>,
}

/// The keyword arguments that say how an actor is started.
pub(crate) struct Options<'a> {
    pub(crate) budget: u32,
    pub(crate) mailbox: Option<Bound<'a, PyAny>>,
    pub(crate) priority: &'a str,
    pub(crate) trap_exit: bool,
    pub(crate) blocking: bool,
    /// Whether only nodes that prove who they are may send to it.
    pub(crate) guarded: bool,
}

impl Options<'_> {
    /// The lane is left to the code, unless it blocks.
    ///
    /// # Errors
    /// `ValueError` for what makes no sense, `NoProcess` for a redirect to nobody.
    pub(crate) fn build(self) -> PyResult<SpawnOptions> {
        let lane = if self.blocking { SpawnOptions::BLOCKING } else { 0 };
        Ok(SpawnOptions {
            budget: Some(budget(self.budget)?),
            lane,
            priority: priority(self.priority)?,
            mailbox: self
                .mailbox
                .map_or(Ok(Mailbox::Unbounded), |mailbox| Bounded::read(&mailbox)?.build())?,
            trap_exit: self.trap_exit,
            authenticated_only: self.guarded,
            linked: STARTING_FOR.get(),
            ..SpawnOptions::default()
        })
    }
}

impl Bounded {
    fn read(mailbox: &Bound<'_, PyAny>) -> PyResult<Self> {
        let refused = |_| PyTypeError::new_err(format!("mailbox is Bounded(n) or None, not {mailbox:?}"));
        let field = |name| mailbox.getattr(name).map_err(refused);
        let of_kind = |error: PyErr| match error.is_instance_of::<PyTypeError>(mailbox.py()) {
            true => refused(error),
            false => error,
        };
        Ok(Self {
            capacity: capacity(&field("capacity")?)?,
            policy: field("policy")?.extract().map_err(of_kind)?,
            redirect_to: field("redirect_to")?.extract().map_err(of_kind)?,
        })
    }

    fn build(self) -> PyResult<Mailbox> {
        if self.capacity == 0 {
            return Err(PyValueError::new_err("a bounded mailbox holds at least 1 message"));
        }
        let overflow = match (self.policy.as_str(), self.redirect_to) {
            ("redirect", Some(pid)) => Overflow::Redirect(living(pid)?),
            ("redirect", None) => {
                return Err(PyValueError::new_err("policy \"redirect\" needs redirect_to=pid"));
            }
            (_, Some(_)) => return Err(PyValueError::new_err("redirect_to goes with policy \"redirect\"")),
            ("reject", None) => Overflow::Reject,
            ("drop_new", None) => Overflow::DropNew,
            ("drop_old", None) => Overflow::DropOld,
            ("block", None) => Overflow::Block,
            (other, None) => {
                return Err(PyValueError::new_err(format!(
                    "{other:?} is no policy: write \"reject\", \"drop_new\", \"drop_old\", \"block\" or \"redirect\""
                )));
            }
        };
        Ok(Mailbox::bounded(self.capacity).overflow(overflow))
    }
}

/// # Errors
/// `ValueError` for zero.
pub(crate) fn budget(messages: u32) -> PyResult<u32> {
    if messages == 0 {
        return Err(PyValueError::new_err("a budget is at least 1 message"));
    }
    Ok(messages)
}

fn priority(name: &str) -> PyResult<Priority> {
    match name {
        "high" => Ok(Priority::High),
        "normal" => Ok(Priority::Normal),
        "low" => Ok(Priority::Low),
        _ => Err(PyValueError::new_err(format!(
            "{name:?} is no priority: write \"high\", \"normal\" or \"low\""
        ))),
    }
}

pub(crate) fn priority_name(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "high",
        Priority::Normal => "normal",
        Priority::Low => "low",
    }
}
