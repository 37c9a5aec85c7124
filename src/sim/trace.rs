//! What a simulation did: who ran, in which order, and how the time went.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

/// Names an actor of a simulation by its place in the order of creation: the slot, counted from zero,
/// and how many actors had that slot before it. The same in every run of a seed, and of other seeds as
/// far as they do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActorId {
    /// The slot.
    pub slot: u32,
    /// How many actors had it before.
    pub life: u32,
}

/// One thing that a simulation did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// An actor had a turn.
    Actor {
        /// Which.
        actor: ActorId,
        /// The messages that it handled, with what it consumed beyond them.
        spent: u32,
        /// The most that it might have handled.
        budget: u32,
    },
    /// A factory of a supervisor ran, or another job of the runtime.
    Job,
    /// The clock moved to so long after its start.
    Clock(Duration),
}

/// The steps of a simulation, in order. As text it is what [`Strategy::Replay`](super::Strategy::Replay)
/// takes: `3:2/8` is a turn of actor 3 that handled 2 of at most 8 messages, `3.1:2/8` one of the second
/// actor in its slot, `job` a job, `@1500000` the clock at 1.5 ms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The steps.
    pub steps: Vec<Step>,
}

/// A text that is no [`Trace`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no step of a simulation: write 3:2/8, 3.1:2/8, job or @1500000, with spaces between")]
pub struct TraceError(String);

impl Trace {
    /// The text of the last `count` steps.
    pub fn tail(&self, count: usize) -> String {
        let from = self.steps.len().saturating_sub(count);
        Self { steps: self.steps[from..].to_vec() }.to_string()
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.life {
            0 => write!(f, "{}", self.slot),
            life => write!(f, "{}.{life}", self.slot),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Actor { actor, spent, budget } => write!(f, "{actor}:{spent}/{budget}"),
            Self::Job => f.write_str("job"),
            Self::Clock(passed) => write!(f, "@{}", passed.as_nanos()),
        }
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{step}")?;
        }
        Ok(())
    }
}

impl FromStr for Trace {
    type Err = TraceError;

    fn from_str(text: &str) -> Result<Self, TraceError> {
        let step = |word: &str| parse(word).ok_or_else(|| TraceError(word.chars().take(40).collect()));
        Ok(Self { steps: text.split_whitespace().map(step).collect::<Result<_, _>>()? })
    }
}

fn parse(word: &str) -> Option<Step> {
    if word == "job" {
        return Some(Step::Job);
    }
    if let Some(nanos) = word.strip_prefix('@') {
        return Some(Step::Clock(Duration::from_nanos(nanos.parse().ok()?)));
    }
    let (actor, turn) = word.split_once(':')?;
    let (spent, budget) = turn.split_once('/')?;
    let (slot, life) = actor.split_once('.').unwrap_or((actor, "0"));
    let number = |text: &str| -> Result<u32, ParseIntError> { text.parse() };
    Some(Step::Actor {
        actor: ActorId { slot: number(slot).ok()?, life: number(life).ok()? },
        spent: number(spent).ok()?,
        budget: number(budget).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_back_from_its_text() {
        let text = "0:0/5 job @1500000 3.1:2/8 12:4/4";
        let trace: Trace = text.parse().unwrap();
        assert_eq!(trace.to_string(), text);
        assert_eq!(trace.steps[2], Step::Clock(Duration::from_micros(1500)));
        assert_eq!(trace.tail(2), "3.1:2/8 12:4/4");
        assert_eq!(Trace::from_str("").unwrap(), Trace::default());
        for bad in ["x", "1", "1:2", "1:2/", "@", "1.2.3:4/5", "-1:2/3"] {
            assert_eq!(bad.parse::<Trace>(), Err(TraceError(bad.to_owned())));
        }
    }
}
