//! What the budget of an actor costs and brings: fork-join with so many messages a turn.

use myrmidon::actor::SpawnOptions;

use super::fork_join::throughput;

pub(super) fn run<const BUDGET: u32>(messages: u64) -> Result<f64, String> {
    throughput(messages, &SpawnOptions { budget: Some(BUDGET), ..SpawnOptions::default() })
}
