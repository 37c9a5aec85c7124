# The doors of the project. Each sets up what it needs; nothing has to be installed by hand but
# Rust, a C compiler and Python 3.10 or later.

TRANSPORT ?= quic

.PHONY: help demo test check bench setup

help:
	@echo 'make demo [TRANSPORT=quic|tcp]  the main job: a cluster that counts, swaps code, loses a node and heals'
	@echo 'make test                       every test'
	@echo 'make check                      what a change must pass: format, lints, documentation, every test'
	@echo 'make bench                      the workloads, measured on this machine'

setup:
	@scripts/setup.sh

demo: setup
	@.venv/bin/python examples/demo --transport '$(TRANSPORT)'

test:
	@scripts/test.sh

check:
	@.ci/run

bench:
	@cargo run --locked --quiet --release -p myrmidon-benches -- local
