#!/usr/bin/env bash
# The stress test under valgrind, at a size that takes some seconds: reads of what was freed or never written,
# and memory that nobody can free any more. MYRMIDON_STRESS_OPS changes the size.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if ! command -v valgrind >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get install --yes --no-install-recommends valgrind >/dev/null || true
fi
if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed (on Debian and Ubuntu: apt-get install valgrind)"
    exit 0
fi

target=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
export "CARGO_TARGET_${target}_RUNNER=valgrind --quiet --error-exitcode=99 --fair-sched=yes \
--leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite"
export MYRMIDON_STRESS_OPS=${MYRMIDON_STRESS_OPS:-15000}
exec timeout 300 cargo test --locked --package myrmidon --test stress -- --nocapture
