# The ways in. Each target first installs what is missing for it (packaging/packages.txt), then does its job.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help build run test bench soak fuzz clean

JOBS ?= $(shell nproc)
# Of each fuzzer in `make fuzz`, and rounds of the end-to-end tests in `make soak`.
FUZZ_SECONDS ?= 60
SOAK_ROUNDS ?= 20

help:
	@echo 'make build   the release programs: build/release/holdfast and holdfast-keeper'
	@echo 'make run     Holdfast with a sample service, in ./build/run-data; says what to try'
	@echo 'make test    everything that must hold; prints the time of each part; ends with the summary of ctest'
	@echo 'make bench   the figures of docs/benchmarks.md, beside their peers'
	@echo 'make soak    the end-to-end tests SOAK_ROUNDS times ($(SOAK_ROUNDS)), then every fuzzer for ten minutes'
	@echo 'make fuzz    every fuzzer for FUZZ_SECONDS ($(FUZZ_SECONDS)), starting from its corpus'
	@echo 'make clean   remove build/'

build:
	@packaging/install-packages.sh build
	@cmake --preset release >build/.configure.log 2>&1 || { cat build/.configure.log >&2; exit 1; }
	@cmake --build --preset release --parallel $(JOBS) --target holdfast holdfast-keeper
	@echo 'built build/release/holdfast; next: make run'

run: build
	@examples/run.sh

test:
	@packaging/install-packages.sh test
	@/usr/bin/python3 tests/run.py test --jobs $(JOBS)

bench: build
	@packaging/install-packages.sh bench
	@/usr/bin/python3 bench/run.py

soak:
	@packaging/install-packages.sh test
	@/usr/bin/python3 tests/run.py soak --jobs $(JOBS) --rounds $(SOAK_ROUNDS)
	@/usr/bin/python3 tests/run.py fuzz --jobs $(JOBS) --seconds 600

fuzz:
	@packaging/install-packages.sh test
	@/usr/bin/python3 tests/run.py fuzz --jobs $(JOBS) --seconds $(FUZZ_SECONDS)

clean:
	rm -rf build

# The folder is made when make starts, so that every target may write its logs there.
_ := $(shell mkdir -p build)
