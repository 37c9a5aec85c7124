#!/usr/bin/env bash
# Every test: Rust (with the interop scenarios), the examples in the documentation, Python, stubs.
# All of them run even when one fails; the runners' own last lines are printed at the end.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/setup.sh
export MYRMIDON_TEST_PYTHON=$python
# The extension module links against an interpreter only inside one: its tests are the Python ones.
workspace=(--locked --workspace --exclude myrmidon-python)
failed=0

# One test is about optimised builds: does a panic of an actor still unwind?
step release-node "build an optimised node" \
    cargo build --locked --profile fast --package myrmidon-interop-tests --bin interop_node || failed=1
export MYRMIDON_TEST_RELEASE_NODE=${CARGO_TARGET_DIR:-$root/target}/fast/interop_node

if cargo nextest --version >/dev/null 2>&1; then
    step rust "Rust tests and interop scenarios" cargo nextest run "${workspace[@]}" || failed=1
else
    step rust "Rust tests and interop scenarios" cargo test "${workspace[@]}" --all-targets --no-fail-fast || failed=1
fi
step rust-docs "Rust examples in the documentation" cargo test "${workspace[@]}" --doc --no-fail-fast || failed=1
step python "Python tests" "$python" -m pytest --timeout 180 python/tests || failed=1
step docs "the pages and their examples" "$python" -m pytest --timeout 180 docs/tests || failed=1
step stubs "the stubs against the module" "$python" -m mypy.stubtest myrmidon || failed=1

echo
summary rust '^ *Summary|^test result|^ +(FAIL|TIMEOUT|SIGKILL) '
summary rust-docs '^test result: .* [1-9][0-9]* passed|^test result: FAILED'
summary python '^=+ .* in [0-9.]+s|^(FAILED|ERROR) '
summary docs '^=+ .* in [0-9.]+s|^(FAILED|ERROR) '
summary stubs '^Success|^Found '
exit "$failed"
