//! One test body under many seeds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use super::{Sim, SimBuilder, Strategy};

/// The environment variable that names the one seed to run.
const SEED: &str = "MYRMIDON_SEED";
/// How much of the trace a failure shows.
const SHOWN: usize = 50;

/// Runs `body` in a new simulation for each of `seeds`: the even ones with [`Strategy::Random`], the odd
/// ones with [`Strategy::Pct`] of depth 3. See [`SimBuilder::check`] for other settings.
///
/// With `MYRMIDON_SEED=7` in the environment only seed 7 is run. A body that panics fails the test,
/// after its seed, the command to repeat it and the last 50 steps were written to the standard error.
///
/// # Panics
/// Where `body` does, or `MYRMIDON_SEED` is no number.
pub fn check(seeds: impl IntoIterator<Item = u64>, body: impl Fn(&mut Sim)) {
    for seed in chosen(seeds) {
        let strategy = if seed % 2 == 0 { Strategy::Random } else { Strategy::Pct { depth: 3 } };
        run(&Sim::builder().strategy(strategy).seed(seed), &body);
    }
}

impl SimBuilder {
    /// As [`check`], with these settings for every seed.
    ///
    /// # Panics
    /// As [`check`].
    pub fn check(&self, seeds: impl IntoIterator<Item = u64>, body: impl Fn(&mut Sim)) {
        for seed in chosen(seeds) {
            run(&self.clone().seed(seed), &body);
        }
    }
}

/// The seed of the environment alone, if it names one.
fn chosen(seeds: impl IntoIterator<Item = u64>) -> Box<dyn Iterator<Item = u64>> {
    match std::env::var(SEED) {
        Ok(text) => {
            let seed =
                text.parse().unwrap_or_else(|_| panic!("{SEED} is {text:?}: write a number from 0 on"));
            Box::new(std::iter::once(seed))
        }
        Err(_) => Box::new(seeds.into_iter().collect::<Vec<_>>().into_iter()),
    }
}

fn run(settings: &SimBuilder, body: &impl Fn(&mut Sim)) {
    let mut sim = settings.start().unwrap_or_else(|error| panic!("no simulation: {error}"));
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(&mut sim))) {
        eprintln!("{}", report(&sim));
        resume_unwind(panic);
    }
}

fn report(sim: &Sim) -> String {
    let (seed, trace, elapsed) = (sim.seed(), sim.trace(), sim.elapsed());
    let name = thread::current().name().filter(|name| *name != "main").unwrap_or("NAME").to_owned();
    format!(
        "the simulation failed with seed {seed}, after {} steps and {elapsed:?}; the last {SHOWN} steps:\n\
         {}\nrepeat it with: {SEED}={seed} cargo test {name}",
        trace.steps.len(),
        trace.tail(SHOWN),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_the_seed_the_command_and_the_last_steps() {
        let mut sim = Sim::new(41).unwrap();
        let pid = sim.runtime().spawn_fn(|_, _| {});
        (0..3).for_each(|_| sim.runtime().send(pid, "x").unwrap());
        sim.run();
        let report = report(&sim);
        assert!(report.contains("seed 41"), "{report}");
        assert!(report.contains("0:1/") || report.contains("0:2/") || report.contains("0:3/"), "{report}");
        let name = "sim::check::tests::a_report_names_the_seed_the_command_and_the_last_steps";
        assert!(report.ends_with(&format!("repeat it with: MYRMIDON_SEED=41 cargo test {name}")), "{report}");
    }
}
