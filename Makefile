# What developers type. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# PEERS=none leaves out the tests with real clients and servers that are Debian packages, and says which.
PEERS ?= all
# Test processes at once; each waits more than it computes.
JOBS ?= $(shell echo $$(( $$(nproc) + 1 )))
# Passed on to pytest, for instance TESTS="tests/scenario -k bounces".
TESTS ?=
# Of `make bench`: the cells to print, for instance CELL="base starttls"; without, all, and docs/performance.md is written.
CELL ?=
# Of `make bench` (5 rounds of so many seconds a cell and system) and `make soak` (200 rounds).
bench: ROUNDS ?= 5
bench: SECONDS ?= 10
soak: ROUNDS ?= 200
python := .venv/bin/python

.PHONY: help setup setup-dev peers run test check fmt bench fuzz soak limits docs

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 16

setup: ## .venv with the locked dependencies; .venv/bin/relay is the command afterwards
	@make/setup run

setup-dev: ## the same with what tests and linters need
	@make/setup dev

peers: ## unpacks the Debian packages that tests talk to into .peers; PEERS=none leaves them out
	@make/peers $(PEERS)

run: setup ## relay against a built-in Microsoft 365, with nothing to configure
	@.venv/bin/relay demo

test: setup-dev peers ## everything: what check does, and every test, with real clients and servers
	@make/check static
	@make/test $(PEERS) $(JOBS) $(TESTS)

check: setup-dev ## format, lint, types, import order, unit tests; under a minute
	@make/check all

fmt: setup-dev ## formats, and mends what the linter can
	@$(python) -m ruff check -q --fix-only .
	@$(python) -m ruff format -q .

bench: setup-dev ## throughput, latency, CPU and memory beside Postfix, into docs/performance.md; CELL=... prints some
	@make/peers $(PEERS)
	@$(python) -m bench $(CELL) --rounds $(ROUNDS) --seconds $(SECONDS)

fuzz: setup-dev ## the fuzz tests, far longer than `make test` runs them
	@HYPOTHESIS_PROFILE=long $(python) -m pytest tests/fuzz -n $(JOBS) --timeout 3600

soak: setup-dev ## 200 rounds of kill -9 under load with an upstream that fails, and 2,000 power cuts; SOAK_SEED=... for the same load again
	@nice $(python) -m tests.soak $(ROUNDS)
	@POWER_CUTS=2000 nice $(python) -m pytest -q -o timeout=1200 tests/scenario/test_power_cut.py

limits: setup-dev ## a provider's limits over three real minutes, with a kill -9; part of `make test`
	@$(python) -m pytest tests/limits/three_minutes.py

docs: setup-dev ## docs/settings.md from the settings themselves
	@$(python) docs/generate.py
