//! Every target with its corpus and a bounded number of changed inputs.

use myrmidon_fuzz::TARGETS;
use myrmidon_fuzz::driver::bounded;

fn survives(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    // The number of another seed may be put here to look further, as scripts/fuzz.sh does.
    if let Err(failure) = bounded(target, target.rounds, 1) {
        panic!("{}\nthe input: {:?}", failure.what, failure.input);
    }
}

#[test]
fn level_1_survives_arbitrary_bytes() {
    survives("level1");
}

#[test]
fn level_2_survives_arbitrary_bytes() {
    survives("level2");
}

#[test]
fn answers_survive_arbitrary_bytes() {
    survives("answers");
}

#[test]
fn texts_survive_arbitrary_bytes() {
    survives("text");
}

#[test]
fn a_node_survives_arbitrary_conversations() {
    survives("talk");
}
