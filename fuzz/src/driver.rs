//! Runs a target on many inputs.

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;
use std::time::{Duration, Instant};

use myrmidon::sim::Random;

use crate::coverage::Coverage;
use crate::mutate::mutated;
use crate::{Target, corpus};

/// The longest input that is kept.
const KEPT: usize = 512;

/// An input that a target did not survive, and what it said.
#[derive(Debug)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// The panic.
    pub what: String,
}

/// Gives a target its corpus and then `rounds` changed inputs, by a seed.
pub fn bounded(target: &Target, rounds: u32, seed: u64) -> Result<(), Failure> {
    let (inputs, mut random) = (corpus::inputs(target), Random::stream(seed, 0));
    for input in &inputs {
        attempt(target, input)?;
    }
    for _ in 0..rounds {
        let (one, other) = (pick(&mut random, &inputs), pick(&mut random, &inputs));
        let input = mutated(&mut random, one, other);
        attempt(target, &input)?;
    }
    Ok(())
}

/// Goes on for a time, by a seed, and keeps what reaches new code; says how many inputs there were.
///
/// # Panics
/// If an input cannot be written where inputs are kept.
pub fn timed(target: &Target, limit: Duration, seed: u64) -> Result<u64, Failure> {
    let (began, mut random, mut coverage) = (Instant::now(), Random::stream(seed, 0), Coverage::default());
    let mut inputs = Vec::new();
    for input in corpus::inputs(target) {
        Coverage::start();
        attempt(target, &input)?;
        coverage.is_new();
        inputs.push(input);
    }
    let (mut count, mut kept) = (0, 0);
    while began.elapsed() < limit {
        let (one, other) = (pick(&mut random, &inputs), pick(&mut random, &inputs));
        let input = mutated(&mut random, one, other);
        count += 1;
        Coverage::start();
        attempt(target, &input)?;
        if coverage.is_new() && input.len() <= KEPT {
            fs::create_dir_all(corpus::folder(target)).expect("a folder for inputs");
            fs::write(file(target, &input), &input).expect("an input is kept");
            inputs.push(input);
            kept += 1;
        }
    }
    eprintln!("{}: {count} inputs, {kept} kept, {} branches reached", target.name, coverage.reached());
    Ok(count)
}

/// Where an input is kept: by its content.
pub fn file(target: &Target, input: &[u8]) -> PathBuf {
    let digest = input.iter().fold(0xCBF2_9CE4_8422_2325, |digest: u64, byte| {
        (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    });
    corpus::folder(target).join(format!("{digest:016x}"))
}

/// One input. Panics of tasks count too, which a runtime would hide.
///
/// # Errors
/// What went wrong.
pub fn attempt(target: &Target, input: &[u8]) -> Result<(), Failure> {
    note_panics();
    LAST_PANIC.set(None);
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    match (ended, LAST_PANIC.take()) {
        (Ok(()), None) => Ok(()),
        (_, what) => Err(Failure { input: input.to_vec(), what: what.unwrap_or_default() }),
    }
}

thread_local! {
    static LAST_PANIC: Cell<Option<String>> = const { Cell::new(None) };
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            LAST_PANIC.set(Some(info.to_string()));
            earlier(info);
        }));
    });
}

fn pick<'a>(random: &mut Random, inputs: &'a [Vec<u8>]) -> &'a [u8] {
    &inputs[random.below(inputs.len() as u64) as usize]
}
