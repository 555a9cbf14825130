# Every target is one line that calls cargo or a script; `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help build demo test lint

# Words for the program behind a target, such as: make demo ARGS=--once
ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the optimised binary, target/release/nutcrab
	cargo build --locked --release

demo: ## servers, nutcrab in front, real traffic; runs until Ctrl-C (ARGS=--once: until the traffic is done)
	@scripts/demo $(ARGS)

test: ## everything: formatting, lints, licences, unit and end-to-end tests (installs what they need)
	@scripts/test

lint: ## formatting, clippy and the licences of dependencies
	@scripts/test lint
