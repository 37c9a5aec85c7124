#!/usr/bin/env bash
# Fuzzes what reads a peer's bytes: scripts/fuzz.sh SECONDS [TARGET…], so long for each target. The build
# counts the branches that an input reaches, and inputs which reach new ones are kept in fuzz/corpus.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -ge 1 ] || fail "for how many seconds? scripts/fuzz.sh SECONDS [TARGET…]"
# With a target named, only code that runs there is made to count, not what the build itself runs.
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cdebug-assertions=on ${RUSTFLAGS:-}"
export CARGO_TARGET_DIR=$root/target/fuzz
cargo build --locked --quiet --profile fast --target "$host" --package myrmidon-fuzz
exec nice "$CARGO_TARGET_DIR/$host/fast/myrmidon-fuzz" "$@"
