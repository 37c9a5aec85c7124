#!/usr/bin/env bash
# Makes everything that the demo and the tests need: a virtual environment with pinned tools, and
# the Python extension built into it. Says nothing and changes nothing when all is up to date.
#
# PYTHON=/path/to/python chooses the interpreter; otherwise the first of 3.10 or later that is found.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
    lock
    command -v cargo >/dev/null || fail "cargo is not here: install Rust (rustup), then run this again"
    local interpreter
    interpreter=$(find_python)
    make_venv "$interpreter"
    build_extension
}

# Two set-ups at once would write the same files.
lock() {
    exec 9>"$stamps/lock"
    ! command -v flock >/dev/null || flock 9
}

find_python() {
    local names=(python3 python python3.14 python3.13 python3.12 python3.11 python3.10) name
    [ -z "${PYTHON:-}" ] || names=("$PYTHON")
    for name in "${names[@]}"; do
        if "$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "no Python 3.10 or later with the venv module among: ${names[*]}. Set PYTHON=/path/to/python"
}

make_venv() {
    local wanted
    wanted="$root $("$1" -VV) $(cat scripts/requirements.txt)"
    if up_to_date venv "$wanted" && "$python" -c 'import maturin, pytest, mypy' 2>/dev/null; then
        return
    fi
    rm -f "$stamps/venv" "$stamps/extension"
    step venv "make the virtual environment" "$1" -m venv --clear "$venv" ||
        fail "$1 cannot make virtual environments: on Debian and Ubuntu, install python3-venv"
    step pip "install the pinned build and test tools" \
        "$python" -m pip install --disable-pip-version-check --requirement scripts/requirements.txt
    stamp venv "$wanted"
}

# Rebuilt when a source of the extension, the compiler or the environment changed. The Python files
# of the package are used in place and need no rebuild.
build_extension() {
    local wanted
    wanted="$(rustc -V) $("$python" scripts/fingerprint.py Cargo.toml Cargo.lock src certs transports cli \
        python/src python/Cargo.toml python/pyproject.toml)"
    if up_to_date extension "$wanted" && "$python" -c 'import myrmidon' 2>/dev/null; then
        return
    fi
    rm -f "$stamps/extension"
    step extension "build the Python extension" env -u CONDA_PREFIX VIRTUAL_ENV="$venv" \
        "$python" -m maturin develop --locked --profile fast --manifest-path python/Cargo.toml
    stamp extension "$wanted"
}

up_to_date() {
    [ -f "$stamps/$1" ] && [ "$(cat "$stamps/$1")" = "$2" ]
}

stamp() {
    printf '%s' "$2" >"$stamps/$1"
}

main
