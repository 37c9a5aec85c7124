//! Two to five nodes on a simulated network, on one thread and a virtual clock, by a seed.
//!
//! The network delays every lane by itself, cuts one direction or both, breaks connections without a
//! word and refuses dials; processes crash and come back in a new life, leave in good order, freeze;
//! actors read slowly or not at all, and end. Whatever happens, the guarantees hold: order and at most
//! once (G1, G2), no loss without news (G4, G8), every monitor fires once (G6), nothing of an earlier
//! life (G9), bounded queues (L10, L12), and one link between two nodes soon after the last fault (F12,
//! F15).
//!
//! A society does the same with whole runtimes: actors ask, link, watch, stop and follow each other by PIDs that
//! stand for actors of other nodes, some of which know the documented framing only. Every question ends once
//! (G5), every link breaks or is undone once (S32), every monitor fires once (G6), and whoever follows a name
//! reaches its owner in the end (S37).
//!
//! `MYRMIDON_SEED` runs one seed, `MYRMIDON_SEEDS` so many from 0 on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actors;
mod clerk;
mod deeds;
mod ledger;
mod network;
mod pipe;
mod society;
mod wire;
mod world;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Once;

use network::Mischief;
use society::Society;
use world::World;

/// Seeds of an ordinary run, in parts that run at the same time. `scripts/simulate.sh` runs many more.
const SEEDS: u64 = 600;

/// Seeds of an ordinary run of societies.
const SOCIETIES: u64 = 200;

/// One world; its digest tells it from every other. The error says what went wrong.
fn simulate(seed: u64, mischief: Mischief) -> Result<u64, String> {
    on_a_clock_of_its_own(async {
        let mut world = World::new(seed, mischief);
        world.run().await.map(|()| world.ledger.digest())
    })
}

/// One society; its digest, and how often each kind of thing has happened.
fn socialise(seed: u64) -> Result<(u64, BTreeMap<&'static str, usize>), String> {
    on_a_clock_of_its_own(async {
        let mut society = Society::new(seed);
        society.run().await.map(|()| (society.ledger.digest(), society.deeds.counts()))
    })
}

fn on_a_clock_of_its_own<T>(run: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    note_panics();
    PANICS.set(0);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let result = runtime.block_on(run);
    drop(runtime);
    if PANICS.get() > 0 { Err("a task of a node panicked".to_owned()) } else { result }
}

thread_local! {
    /// Panics on this thread: the runtime hides those of tasks.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            earlier(info);
        }));
    });
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text:?}")))
}

/// The seeds of one part, of four: those that are asked for, or so many.
fn seeds(part: u64, many: u64) -> Box<dyn Iterator<Item = u64>> {
    match number("MYRMIDON_SEED") {
        Some(seed) => Box::new((seed..=seed).filter(move |seed| seed % 4 == part)),
        None => Box::new((part..number("MYRMIDON_SEEDS").unwrap_or(many)).step_by(4)),
    }
}

/// Societies of one part, of four. All together do everything that they can do.
fn check_societies(part: u64) {
    let (mut counts, mut many) = (BTreeMap::new(), 0);
    for seed in seeds(part, SOCIETIES) {
        match socialise(seed) {
            Ok((_, done)) => done.into_iter().for_each(|(what, n)| *counts.entry(what).or_insert(0) += n),
            Err(what) => panic!(
                "seed {seed}: {what}\nrepeat it with: MYRMIDON_SEED={seed} cargo test --test mesh_sim \
                 society_part_{part}"
            ),
        }
        many += 1;
    }
    println!("{counts:#?}");
    let all = [
        "answer",
        "ask: timeout",
        "ask: noconnection",
        "ask: noproc",
        "ask: ended",
        "ask: no reply",
        "ask: unsupported",
        "link",
        "unlink",
        "exit",
        "exit of another's link",
        "monitor",
        "demonitor",
        "down",
        "message arrived",
        "message refused",
    ];
    let missing: Vec<_> = all.iter().filter(|what| !counts.contains_key(*what)).collect();
    assert!(many < SOCIETIES / 4 || missing.is_empty(), "it never came to: {missing:?}");
}

/// Worlds of one part, of four.
fn check(part: u64) {
    for seed in seeds(part, SEEDS) {
        if let Err(what) = simulate(seed, Mischief::None) {
            panic!(
                "seed {seed}: {what}\nrepeat it with: MYRMIDON_SEED={seed} cargo test --test mesh_sim part_{part}"
            );
        }
    }
}

#[test]
fn g1_g2_g4_g6_g9_f12_f15_whatever_fails_part_0() {
    check(0);
}

#[test]
fn g1_g2_g4_g6_g9_f12_f15_whatever_fails_part_1() {
    check(1);
}

#[test]
fn g1_g2_g4_g6_g9_f12_f15_whatever_fails_part_2() {
    check(2);
}

#[test]
fn g1_g2_g4_g6_g9_f12_f15_whatever_fails_part_3() {
    check(3);
}

#[test]
fn g1_g2_g5_g6_s32_s37_whatever_fails_society_part_0() {
    check_societies(0);
}

#[test]
fn g1_g2_g5_g6_s32_s37_whatever_fails_society_part_1() {
    check_societies(1);
}

#[test]
fn g1_g2_g5_g6_s32_s37_whatever_fails_society_part_2() {
    check_societies(2);
}

#[test]
fn g1_g2_g5_g6_s32_s37_whatever_fails_society_part_3() {
    check_societies(3);
}

#[test]
fn the_same_seed_gives_the_same_society() {
    for seed in 0..10 {
        assert_eq!(socialise(seed), socialise(seed), "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(simulate(seed, Mischief::None), simulate(seed, Mischief::None), "seed {seed}");
    }
    assert_ne!(simulate(1, Mischief::None), simulate(2, Mischief::None));
}

/// How many of a few seeds notice a network that does what none may do, by one of these faults.
fn caught(mischief: Mischief, faults: &[&str]) -> usize {
    let notices = |seed: &u64| {
        simulate(*seed, mischief).is_err_and(|what| faults.iter().any(|fault| what.starts_with(fault)))
    };
    (0..20).filter(notices).count()
}

#[test]
fn a_network_that_repeats_is_caught() {
    assert!(caught(Mischief::Repeat, &["G1"]) >= 5);
}

#[test]
fn a_network_that_loses_and_goes_on_is_caught() {
    let caught = caught(Mischief::Lose, &["G4", "G8", "message "]);
    assert!(caught >= 5, "{caught}");
}
