# The ways to run things. `make help` lists them.

SHELL := bash
TOOLS := $(abspath $(or $(CARGO_TARGET_DIR),target))/tools

.PHONY: help tools test soak check demo bench

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1  \2/p' $(MAKEFILE_LIST)

tools: ## install what the tests need (Redis, nginx, promtool, Node.js, Python, Chromium, schemathesis) into the target folder
	@tests/tools/install.sh $(TOOLS)

test: tools ## run every test, and say how many cases of which kind ran
	@tests/tools/run.sh $(TOOLS)

soak: tools ## kills, races and stores that die, again and again: ROUNDS=10, or as many as you like
	@for round in $$(seq $(or $(ROUNDS),10)); do echo "round $$round"; \
	GRANTKEEP_TEST_SOAK=1 tests/tools/run.sh $(TOOLS) --test it -- store_dies faults races fleet stopping store_trouble several key_rotation queue leaving concurrent proofs model spilled epoch ahead || exit; \
	GRANTKEEP_TEST_SOAK=1 GRANTKEEP_TEST_ALONE=1 tests/tools/run.sh $(TOOLS) --test it -- r3_ || exit; done

check: ## formatting, lints, and cargo-deny where it is installed
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check licenses bans sources; \
	else echo 'cargo-deny is not installed; tests/floors/dependencies.rs checks bans, sources and licences'; fi

demo: ## the whole journey, printed step by step
	cargo run --release -- demo

# Without options of one's own the figures go into the page.
LOAD ?= --write docs/performance.md

bench: ## load on the hot path beside a bare handler, into docs/performance.md; options in LOAD, as in LOAD='--rounds 3'
	@tests/tools/install.sh $(TOOLS) redis
	@cargo bench --locked --bench micro
	@GRANTKEEP_TEST_REDIS_SERVER=$(TOOLS)/bin/redis-server cargo bench --locked --bench load -- $(LOAD)
