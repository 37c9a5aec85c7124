#!/usr/bin/env bash
# The models of the lock-free parts (`loom_tests.rs` in src/): every interleaving with at most
# LOOM_MAX_PREEMPTIONS forced switches of threads. Arguments choose tests.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

export RUSTFLAGS="--cfg myrmidon_loom ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR=$root/target/loom
export LOOM_MAX_PREEMPTIONS=${LOOM_MAX_PREEMPTIONS:-2}
exec cargo test --locked --package myrmidon --lib "${1:-loom_tests}" "${@:2}"
