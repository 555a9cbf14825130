# Every target is one line that calls cargo or a script; `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help build demo test lint simulate fuzz faults soak bench bench-gather bench-scale instructions instructions-budget pages deb test-deb test-availability clients

# Words for the program behind a target, such as: make demo ARGS=--once
ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the optimised binary, target/release/nutcrab
	cargo build --locked --release

demo: ## servers, nutcrab in front, real traffic; runs until Ctrl-C (ARGS=--once: until the traffic is done)
	@scripts/demo $(ARGS)

test: ## everything: formatting, lints, licences, unit and end-to-end tests (installs what they need)
	@scripts/test

# Passed on only if given: how many seeds, which one first, or one seed with all that happens in it.
simulate: export SEEDS := $(SEEDS)
simulate: export FIRST := $(FIRST)
simulate: export SEED := $(SEED)
simulate: ## the core in a simulated world (SEEDS=100000 FIRST=0: that many runs; SEED=12345: that one, told in full)
	cargo test --locked --test simulation no_seed -- --nocapture

# How long, and which of the targets; all by default.
SECONDS_EACH ?= 600
TARGETS ?=

fuzz: ## the fuzz targets, each for ten minutes (SECONDS_EACH=3600 TARGETS="redis_reply world": so long, those)
	@scripts/fuzz $(SECONDS_EACH) $(TARGETS)

faults: export FAULTS_LONG := 1
faults: ## faults and attacks on the real binary, the long form (root: networks, memory limits, clocks)
	cargo test --locked --test faults -- --nocapture

soak: export SOAK_SECONDS := $(or $(SOAK_SECONDS),1800)
soak: ## checked traffic under mixed faults against real servers, for half an hour (SOAK_SECONDS=86400: a day)
	cargo test --locked --test faults soak -- --nocapture

pages: ## the manual page, completions and tables of docs/, anew from the tables of the code
	cargo run --locked --quiet -p nutcrab-pages

clients: ## client libraries in default settings through nutcrab (installs them into target/clients)
	@scripts/clients

lint: ## formatting, clippy, rustdoc and the licences of dependencies
	@scripts/test lint

bench: ## nutcrab beside direct, nutcracker, HAProxy and Envoy, into docs/benchmarks (PROFILE=quick, usual or full)
	@scripts/bench compare $(or $(PROFILE),usual)

bench-gather: ## what gathering brings and costs: open-loop load over a link between two network namespaces (root)
	@scripts/bench gather

bench-scale: ## what a request costs as clients, servers, pools, keys and workers grow
	@scripts/bench scale

instructions: ## instructions of the hot path against their budget, bench/instructions.txt
	@scripts/instructions check

instructions-budget: ## measures them, and writes the budget
	@scripts/instructions write

deb: ## the Debian package, below target/debian
	@scripts/build-deb

test-deb: ## the package installed, upgraded and purged in a fresh Debian root, and docs/migration.md followed there (root)
	@scripts/test-deb

test-availability: ## two nutcrabs behind one address of keepalived's, in network namespaces (root)
	@scripts/test-availability
