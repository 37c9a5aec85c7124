#!/usr/bin/env bash
# Simulates clusters on a failing network: scripts/simulate.sh [SEEDS], 10 000 if not said. A seed that
# fails is printed with the command that repeats it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

MYRMIDON_SEEDS=${1:-10000} cargo test --locked --quiet --profile fast --test mesh_sim
