//! Who runs next.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::trace::{ActorId, Step, Trace};
use crate::random::Random;

/// In how many steps [`Strategy::Pct`] lets priorities change.
const HORIZON: u64 = 1_000;

/// How a simulation chooses among what can run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Each with the same chance.
    #[default]
    Random,
    /// In the order in which they became ready.
    RoundRobin,
    /// Probabilistic concurrency testing: each actor has a random priority, the highest one that is
    /// ready runs, and at `depth - 1` random moments of the first thousand steps the running one
    /// becomes the lowest. Finds with a known chance every fault that takes `depth` orderings (2 or 3
    /// is usual), also those that need one actor to be starved for long.
    Pct {
        /// How many orderings the fault takes; at least 1.
        depth: u32,
    },
    /// As a trace says. Where the program can no longer follow it, round robin.
    Replay(Trace),
}

/// What can run: an actor, or `None` for the next job.
pub(super) type Candidate = Option<ActorId>;

/// A strategy at work.
pub(super) struct Chooser {
    random: Random,
    budget: RangeInclusive<u32>,
    plan: Plan,
}

enum Plan {
    Random,
    RoundRobin,
    Pct(Pct),
    Replay { trace: Trace, next: usize },
}

impl Chooser {
    pub(super) fn new(strategy: &Strategy, seed: u64, budget: RangeInclusive<u32>) -> Self {
        let mut random = Random::stream(seed, 0);
        let plan = match strategy {
            Strategy::Random => Plan::Random,
            Strategy::RoundRobin => Plan::RoundRobin,
            Strategy::Pct { depth } => Plan::Pct(Pct::new(*depth, &mut random)),
            Strategy::Replay(trace) => Plan::Replay { trace: trace.clone(), next: 0 },
        };
        Self { random, budget, plan }
    }

    /// The index of the next of `candidates`, of which there is at least one, and its budget.
    pub(super) fn choose(&mut self, candidates: &[Candidate]) -> (usize, u32) {
        let (low, high) = (*self.budget.start(), *self.budget.end());
        let budget = low.saturating_add(self.random.below(u64::from(high.saturating_sub(low)) + 1) as u32);
        match &mut self.plan {
            Plan::Random => (self.random.below(candidates.len() as u64) as usize, budget.max(1)),
            Plan::RoundRobin => (0, budget.max(1)),
            Plan::Pct(pct) => (pct.choose(candidates, &mut self.random), budget.max(1)),
            Plan::Replay { trace, next } => match replay(trace, next, candidates) {
                Some((index, recorded)) => (index, recorded.max(1)),
                None => {
                    self.plan = Plan::RoundRobin;
                    (0, budget.max(1))
                }
            },
        }
    }
}

/// What the trace says comes next; `None` where it has ended or that cannot run.
fn replay(trace: &Trace, next: &mut usize, candidates: &[Candidate]) -> Option<(usize, u32)> {
    loop {
        let step = trace.steps.get(*next)?;
        *next += 1;
        let (wanted, budget) = match step {
            Step::Clock(_) => continue,
            Step::Job => (None, 1),
            Step::Actor { actor, budget, .. } => (Some(*actor), *budget),
        };
        return candidates.iter().position(|candidate| *candidate == wanted).map(|index| (index, budget));
    }
}

struct Pct {
    /// Higher runs first. Random ones have the top bit set, those that were lowered have not.
    priorities: BTreeMap<Candidate, u64>,
    /// The steps before which the one chosen is lowered, latest first.
    changes: Vec<u64>,
    step: u64,
    lowest: u64,
}

const UPPER: u64 = 1 << 63;

impl Pct {
    fn new(depth: u32, random: &mut Random) -> Self {
        let mut changes: Vec<_> = (1..depth).map(|_| random.below(HORIZON)).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Self { priorities: BTreeMap::new(), changes, step: 0, lowest: UPPER - 1 }
    }

    fn choose(&mut self, candidates: &[Candidate], random: &mut Random) -> usize {
        for candidate in candidates {
            self.priorities.entry(*candidate).or_insert_with(|| random.next_u64() | UPPER);
        }
        while self.changes.last().is_some_and(|change| *change <= self.step) {
            self.changes.pop();
            let highest = candidates[self.highest(candidates)];
            self.priorities.insert(highest, self.lowest);
            self.lowest -= 1;
        }
        self.step += 1;
        self.highest(candidates)
    }

    fn highest(&self, candidates: &[Candidate]) -> usize {
        let priority = |index: &usize| self.priorities.get(&candidates[*index]);
        (0..candidates.len()).max_by_key(priority).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(slot: u32) -> Candidate {
        Some(ActorId { slot, life: 0 })
    }

    fn orders(strategy: &Strategy) -> Vec<usize> {
        let candidates = [actor(0), actor(1), None];
        let mut chooser = Chooser::new(strategy, 3, 1..=8);
        (0..2_000).map(|_| chooser.choose(&candidates).0).collect()
    }

    #[test]
    fn random_takes_all_and_round_robin_the_first() {
        let random = orders(&Strategy::Random);
        assert!((0..3).all(|index| random.contains(&index)));
        assert_eq!(random, orders(&Strategy::Random));
        assert!(orders(&Strategy::RoundRobin).iter().all(|index| *index == 0));
    }

    #[test]
    fn pct_changes_its_mind_as_often_as_its_depth_allows() {
        for depth in 1..4 {
            let order = orders(&Strategy::Pct { depth });
            let changes = order.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes < depth as usize, "{changes} changes at depth {depth}");
        }
    }

    #[test]
    fn replay_follows_its_trace_and_then_goes_round() {
        let trace: Trace = "1:1/4 @5 job 0:0/2 7:1/1".parse().unwrap();
        let candidates = [actor(0), actor(1), None];
        let mut chooser = Chooser::new(&Strategy::Replay(trace), 3, 1..=1);
        let chosen: Vec<_> = (0..5).map(|_| chooser.choose(&candidates)).collect();
        assert_eq!(chosen, [(1, 4), (2, 1), (0, 2), (0, 1), (0, 1)]);
    }
}
