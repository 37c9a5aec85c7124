//! Random programs of several actors, run in a simulation and in a model that is one page of plain
//! code: everything that any actor, caller or sink of events sees must be the same, turn by turn.
//!
//! It holds for what one thread can show of S24, S26, S27, S30 to S34, S36, S37, S40 and S41: order of
//! messages and signals, ends and who hears of them, names, versions, timers, dead letters, and that
//! no actor with something to do is ever left without a turn.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod program;
mod real;
mod reference;

use std::time::Duration;

use myrmidon::Sim;
use myrmidon::sim::{Step, Strategy, Trace};
use program::{Op, perform, program};
use proptest::prelude::*;
use real::Real;
use reference::Reference;

/// Programs per strategy. `PROPTEST_CASES` changes it.
const CASES: u32 = 256;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, failure_persistence: None, max_shrink_time: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_order_does_what_the_model_does(seed in any::<u64>(), program in program()) {
        compare(seed, Strategy::Random, &program)?;
    }

    #[test]
    fn round_robin_does_what_the_model_does(seed in any::<u64>(), program in program()) {
        compare(seed, Strategy::RoundRobin, &program)?;
    }

    #[test]
    fn priorities_do_what_the_model_does(seed in any::<u64>(), depth in 1_u32..4, program in program()) {
        compare(seed, Strategy::Pct { depth }, &program)?;
    }
}

/// Runs the program in a simulation, and the model along the simulation's trace.
fn compare(seed: u64, strategy: Strategy, program: &[Op]) -> Result<(), TestCaseError> {
    let (trace, seen, letters) = simulate(seed, strategy, program);
    let mut reference = Reference::new(trace);
    for op in program {
        perform(&mut reference, None, op);
    }
    reference.rest();
    prop_assert_eq!(&seen, &reference.log, "what was seen, and what the model says");
    prop_assert_eq!(letters, reference.dead_letters, "dead letters");
    Ok(())
}

/// The trace, with the ids of actors as numbers in the order of creation; the log; the dead letters.
fn simulate(seed: u64, strategy: Strategy, program: &[Op]) -> (Vec<Step>, Vec<String>, u64) {
    let world = real::World::default();
    let events = world.sink();
    let configure = move |builder: myrmidon::RuntimeBuilder| builder.on_event(events.clone());
    let sim =
        Sim::builder().seed(seed).strategy(strategy).budget(1..=4).configure(configure).start().unwrap();
    let mut real = Real::outside(world.clone(), sim);
    for op in program {
        perform(&mut real, None, op);
    }
    real.sim().run_for(Duration::from_millis(1_000));
    let Trace { steps } = real.named_trace();
    (steps, world.log(), real.sim().runtime().dead_letters())
}
