# Sourced by the other scripts: where things are, and how one step is run and reported.
#
# A step prints one line when it is done. Its output goes to build/logs/NAME.log, and the end of
# that log is shown when the step fails.

set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$root"
logs=$root/build/logs
stamps=$root/build/stamps
venv=$root/.venv
python=$venv/bin/python
mkdir -p "$logs" "$stamps"

# step NAME TEXT COMMAND…: run COMMAND quietly; its status is the step's status.
step() {
    local name=$1 text=$2 log=$logs/$1.log status=0 start=$SECONDS
    shift 2
    announce "$text"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    report "$status" "$text" $((SECONDS - start))
    [ "$status" -eq 0 ] || show_failure "$log" "$status" "$*"
    return "$status"
}

# summary NAME PATTERN: repeat the lines of a step's log in which its runner sums up.
summary() {
    [ ! -f "$logs/$1.log" ] || sed 's/\x1b\[[0-9;]*m//g' "$logs/$1.log" | grep -E "$2" || true
}

fail() {
    echo "error: $*" >&2
    exit 1
}

# On a terminal the running step is a line that counts seconds; elsewhere it is a plain line.
announce() {
    if [ -t 1 ]; then
        local start=$SECONDS
        while :; do
            printf '\r  ..  %s  %d s ' "$1" $((SECONDS - start))
            sleep 1
        done &
        ticker=$!
    else
        printf '  ..  %s\n' "$1"
    fi
}

report() {
    local mark=' ok '
    [ "$1" -eq 0 ] || mark=FAIL
    stop_ticker
    printf ' %s %s  %d s\n' "$mark" "$2" "$3"
}

show_failure() {
    {
        echo "---- the end of $1"
        tail -n 60 "$1"
        echo "---- failed with status $2: $3"
        echo "---- full log: $1"
    } >&2
}

ticker=
stop_ticker() {
    [ -n "$ticker" ] || return 0
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    ticker=
    printf '\r\033[K'
}
trap stop_ticker EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
