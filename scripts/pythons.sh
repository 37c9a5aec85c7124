#!/usr/bin/env bash
# The Python tests with every supported interpreter that is found: python3.10 to python3.14 on the PATH
# and those of pyenv. Each gets an environment of its own in build/pythons. `scripts/pythons.sh 3.12 3.13`
# takes these versions only. Missing versions are named and are no failure.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

main() {
    local version interpreter failed=0 versions=("$@")
    [ $# -gt 0 ] || versions=(3.10 3.11 3.12 3.13 3.14)
    for version in "${versions[@]}"; do
        if interpreter=$(find_python "$version"); then
            try "$version" "$interpreter" || failed=1
        else
            echo "  --  Python $version is not here"
        fi
    done
    echo
    for version in "${versions[@]}"; do
        summary "python-$version" '^=+ .* in [0-9.]+s|^(FAILED|ERROR) ' | sed "s/^/Python $version: /"
    done
    exit "$failed"
}

# A shim of pyenv may stand for a version that is not switched on, so each candidate is asked.
find_python() {
    local candidate
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$candidate" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

try() {
    local version=$1 venv=$root/build/pythons/$1
    rm -f "$logs/python-$version.log"
    step "venv-$version" "Python $version: an environment" "$2" -m venv --clear "$venv" &&
        step "pip-$version" "Python $version: the pinned tools" \
            "$venv/bin/python" -m pip install --disable-pip-version-check --requirement scripts/requirements.txt &&
        step "build-$version" "Python $version: the extension" env -u CONDA_PREFIX VIRTUAL_ENV="$venv" \
            "$venv/bin/python" -m maturin develop --locked --profile fast --manifest-path python/Cargo.toml &&
        step "python-$version" "Python $version: the tests" \
            "$venv/bin/python" -m pytest --timeout 180 python/tests docs/tests
}

main "$@"
