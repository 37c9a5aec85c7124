#!/usr/bin/env bash
# The edge tests of Python (exit, Ctrl-C, forks, a held interpreter, leaks) many times over:
# `scripts/edges.sh [ROUNDS]`, 50 unless told otherwise. With LOAD=1 as many processes as there are cores compute
# meanwhile. The first round that fails ends it; its log is in build/logs/edges.log.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tests=(python/tests/test_{ctrl_c,edges,forks,process}.py)

main() {
    local rounds=${1:-50} round
    [[ "$rounds" =~ ^[1-9][0-9]*$ ]] || fail "ROUNDS is a number from 1, not $rounds"
    scripts/setup.sh
    [ -z "${LOAD:-}" ] || start_load
    for ((round = 1; round <= rounds; round++)); do
        step edges "round $round of $rounds" \
            "$python" -m pytest --timeout 180 "${tests[@]}" || exit 1
    done
    echo "$rounds rounds in a row without a failure"
}

load=()
start_load() {
    local core
    trap 'kill "${load[@]}" 2>/dev/null || true; stop_ticker' EXIT
    for ((core = $(getconf _NPROCESSORS_ONLN); core > 0; core--)); do
        "$python" -c 'while True: pass' &
        load+=($!)
    done
}

main "$@"
