# Commands for users, developers and CI. `make` alone lists the targets.
# Needs Python 3.11 or newer. Makes .venv, with uv if it is installed, and updates it when pyproject.toml changes.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	command -v $$python >/dev/null 2>&1 && \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help serve replay regress baseline load load-chaos validate failover test lint types unit bench bench-peers footprint soak explore fuzz format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

replay: $(VENV)/.sim ## replay the recordings in logs/ on five systems; the report is reports/out/replay.html
	$(BIN)/python -m sim replay logs/

# The replay exits with 1 when the queue loses a message or an expectation fails. The comparison reports that too, and says where.
regress: $(VENV)/.sim ## replay logs/ and compare with the baseline, as CI does; the report is reports/out/regression.html
	@rm -f reports/out/replay.json # so that no older result is compared if the replay fails
	@$(BIN)/python -m sim replay logs/ --quiet --json reports/out/replay.json || test $$? -eq 1
	@$(BIN)/python -m reports compare reports/baseline.json reports/out/replay.json -o reports/out/regression.html \
		--junit reports/out/junit.xml --summary reports/out/summary.md --history reports/out/history.jsonl

baseline: $(VENV)/.sim ## replay logs/ and accept the result as the new baseline: reports/baseline.json
	@$(BIN)/python -m sim replay logs/ --quiet --json reports/out/replay.json || \
		{ echo "nothing was accepted: reports/baseline.json is as it was" >&2; exit 1; }
	@$(BIN)/python -m reports baseline update reports/out/replay.json

serve: $(VENV)/.serve ## run a whole bot on 127.0.0.1:8080, with an AI that echoes; replies appear on the terminal
	@$(BIN)/python -m queue_core serve

load: $(VENV)/.load ## load a real deployment on this machine with 10,000 messages in a minute; the report is reports/out/load/report.html
	$(BIN)/python -m loadtests run --scenario bursts --rate 10200 --duration 60s

# Expected: 0 lost, 0 dead letters, and nothing answered twice except where a worker died while it sent. While Redis is
# away, the bot refuses messages, which come again, or answers them directly; so acknowledgements take long.
# The kills are far enough apart that no turn uses up its four attempts.
load-chaos: $(VENV)/.load ## the same with 1,000 messages a minute, for 5 minutes, while workers die and Redis, the AI and WhatsApp fail
	$(BIN)/python -m loadtests run --scenario bursts --rate 1000 --duration 300s --workers 2 --send lognormal:1s:2s \
		--faults 'worker-dies@12s,worker-dies@18s,redis-hangs@22s:5s,worker-dies@38s,redis-away@42s:20s,worker-dies@76s,redis-restarts@80s,redis-restarts@81s,worker-dies@95s,ai-fails@98s:10s,worker-dies@117s,ai-fails@125s:90s,channel-fails@225s:60s' -- \
		--drain 120s --max-failed 1000 --max-out-of-order 20 --max-ack-p99 30000 --max-lag-p99 30000

# Expected: 0 lost where the queue waits for enough replicas. The other rows show what a failover loses.
failover: $(VENV)/.load ## let Redis servers of a cluster and behind sentinels fail under load; the report is reports/out/failover/report.html
	$(BIN)/python -m loadtests failover

validate: $(VENV)/.load ## compare the simulator with a real deployment in six trials, about 9 minutes; the report is reports/out/validate/report.html
	$(BIN)/python -m loadtests validate

test: $(VENV)/.test ## everything that must pass: lint, types and unit
	@$(MAKE) --no-print-directory -j2 lint types
	@$(MAKE) --no-print-directory unit

lint: $(VENV)/.test ## check style (ruff), import rules, and the language of docstrings and messages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python tests/lint_language.py

types: $(VENV)/.test ## check types (mypy)
	$(BIN)/mypy

unit: $(VENV)/.test ## run all tests except the long ones of soak
	$(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(VENV)/.test ## measure the speed of the queue, beside bare calls to Redis; AGAINST=REV: beside another commit too
	$(BIN)/python -m tests.bench.speed $(if $(AGAINST),--against $(AGAINST))
	$(BIN)/python -m tests.bench.answers
	$(BIN)/python tests/bench/engines.py
	$(BIN)/python tests/bench/imports.py

bench-peers: $(VENV)/.test ## install BullMQ and groupmq (needs npm), and measure them beside the queue
	@command -v npm >/dev/null 2>&1 || \
		{ echo "BullMQ and groupmq are programs for Node.js: install Node.js 18 or newer with npm (https://nodejs.org), then run this again" >&2; exit 1; }
	npm install --prefix tests/bench/peers --no-audit --no-fund --no-package-lock
	$(BIN)/python -m tests.bench.speed $(if $(AGAINST),--against $(AGAINST))

footprint: $(VENV)/.test ## measure how much memory the queue takes, and its slowest steps
	$(BIN)/python -m tests.bench.footprint

soak: $(VENV)/.test ## run the long tests that unit leaves out, and the random tests with many more examples
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "soak or hypothesis" --hypothesis-profile=soak --timeout 3600

EXPLORE ?=
explore: $(VENV)/.test ## search whole deployments in simulated time for faults that break a promise, until Ctrl-C: EXPLORE="--runs 1000 --seed 7"
	$(BIN)/python -m tests.queue_core.searches.deployment $(EXPLORE)

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.test ## test the parsers of webhooks and of AI answers with damaged input, FUZZ_SECONDS=60 each
	$(BIN)/python -m tests.fuzz webhooks --seconds $(FUZZ_SECONDS) --seed $$(date +%s)
	$(BIN)/python -m tests.fuzz answers --seconds $(FUZZ_SECONDS) --seed $$(date +%s)

format: $(VENV)/.test ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the targets made, but not data/ (the Redis of make serve)
	rm -rf $(VENV) tests/bench/peers/node_modules reports/out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A .venv is made anew if it does not run, or if it was moved or copied with its folder.
VENV_WORKS := $(shell test "$$(cat $(VENV)/.made 2>/dev/null)" = "$$(pwd -P)" && $(BIN)/python -c '' 2>/dev/null && echo yes)
ifneq ($(VENV_WORKS),yes)
.PHONY: $(VENV)/.made
endif

$(VENV)/.made:
	@python="$(PYTHON)"; \
	test -n "$$python" || { echo "Python 3.11 or newer is needed and was not found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "PYTHON=$$python does not run, or is older than 3.11; name another, or leave PYTHON out: make then searches for one" >&2; exit 1; }; \
	rm -rf $(VENV); \
	if command -v uv >/dev/null 2>&1; then uv venv --quiet --python "$$python" $(VENV); \
	else "$$python" -m venv $(VENV) || { echo "this Python cannot make a virtual environment; Debian keeps that in the package python3-venv" >&2; rm -rf $(VENV); exit 1; }; fi
	@pwd -P > $@

# An empty file for each set of extras: it is installed again when pyproject.toml is newer. "test" contains the others.
# pip compiles no modules, since most are never imported. Python compiles the others when it imports them.
$(VENV)/.load $(VENV)/.serve $(VENV)/.sim $(VENV)/.test: $(VENV)/.%: $(VENV)/.made pyproject.toml
	@echo "installing what '$*' needs into $(VENV) …"
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python -e ".[$*]"; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".[$*]"; fi
	@touch $@ $(if $(filter test,$*),$(VENV)/.load $(VENV)/.serve $(VENV)/.sim)
