# Everything a developer or a CI run needs. `make` alone lists the targets.
# Needs Python 3.11 or newer and make; uses uv when it is there. Makes .venv and updates it when pyproject.toml changes.

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	command -v $$python >/dev/null 2>&1 && \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help serve replay regress baseline load load-chaos validate failover test lint types unit bench bench-peers footprint soak fuzz format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

replay: $(VENV)/.sim ## replay logs/ against five systems; the report is reports/out/replay.html
	$(BIN)/python -m sim replay logs/

# The replay's own exit code is 1 when the queue loses a message or an expectation fails: the comparison says so too, and exactly where.
regress: $(VENV)/.sim ## replay logs/ and compare with reports/baseline.json, as CI does; the report is reports/out/regression.html
	@rm -f reports/out/replay.json # a replay that fails must not leave an older one to be compared
	@$(BIN)/python -m sim replay logs/ --quiet --json reports/out/replay.json || test $$? -eq 1
	@$(BIN)/python -m reports compare reports/baseline.json reports/out/replay.json -o reports/out/regression.html \
		--junit reports/out/junit.xml --summary reports/out/summary.md --history reports/out/history.jsonl

baseline: $(VENV)/.sim ## accept what the tree does now: replay logs/ and write reports/baseline.json
	@$(BIN)/python -m sim replay logs/ --quiet --json reports/out/replay.json
	@$(BIN)/python -m reports baseline update reports/out/replay.json

serve: $(VENV)/.serve ## run everything on 127.0.0.1:8080: webhooks, queue, an AI that echoes, replies on the terminal
	@$(BIN)/python -m queue_core serve

load: $(VENV)/.load ## 10,000 messages a minute against a real stack on this machine; the report is reports/out/load/report.html
	$(BIN)/python -m loadtests run --scenario bursts --rate 10200 --duration 60s

# 0 lost, 0 dead letters, and nothing answered twice but where a worker died while it sent. While Redis is away messages
# are refused and delivered again, or answered directly past what waits in Redis, and acknowledgements take that long.
# The kills keep a distance from the takeovers of the turns of earlier ones, so that no turn uses up its four attempts.
load-chaos: $(VENV)/.load ## the same at a tenth, with slow sends, while workers are killed, Redis fails in three ways, and the AI and WhatsApp fail
	$(BIN)/python -m loadtests run --scenario bursts --rate 1000 --duration 300s --workers 2 --send lognormal:1s:2s \
		--faults 'worker-dies@12s,worker-dies@18s,redis-hangs@22s:5s,worker-dies@38s,redis-away@42s:20s,worker-dies@76s,redis-restarts@80s,redis-restarts@81s,worker-dies@95s,ai-fails@98s:10s,worker-dies@117s,ai-fails@125s:90s,channel-fails@225s:60s' -- \
		--drain 120s --max-failed 1000 --max-out-of-order 20 --max-ack-p99 30000 --max-lag-p99 30000

# 0 lost where the queue waits for enough replicas; the other rows show what a failover loses.
failover: $(VENV)/.load ## kill, freeze and replace servers of clusters and behind sentinels; the report is reports/out/failover/report.html
	$(BIN)/python -m loadtests failover

validate: $(VENV)/.load ## check the simulator against a real stack in six trials, about 9 minutes; the report is reports/out/validate/report.html
	$(BIN)/python -m loadtests validate

test: $(VENV)/.test ## lint, types, import rules and all tests
	@$(MAKE) --no-print-directory -j2 lint types
	@$(MAKE) --no-print-directory unit

lint: $(VENV)/.test ## ruff, import rules, and the language of names and texts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python tests/lint_language.py

types: $(VENV)/.test ## mypy
	$(BIN)/mypy

unit: $(VENV)/.test ## all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(VENV)/.test ## measure the queue's speed side by side with what limits it, and with another commit: AGAINST=v1.2
	$(BIN)/python -m tests.bench.speed $(if $(AGAINST),--against $(AGAINST))
	$(BIN)/python -m tests.bench.answers
	$(BIN)/python tests/bench/engines.py
	$(BIN)/python tests/bench/imports.py

bench-peers: $(VENV)/.test ## install BullMQ and groupmq into tests/bench/peers/ by npm, and measure them beside the queue
	@command -v npm >/dev/null 2>&1 || \
		{ echo "BullMQ and groupmq are programs for Node.js: install Node.js 18 or newer with npm (https://nodejs.org), then run this again" >&2; exit 1; }
	npm install --prefix tests/bench/peers --no-audit --no-fund --no-package-lock
	$(BIN)/python -m tests.bench.speed $(if $(AGAINST),--against $(AGAINST))

footprint: $(VENV)/.test ## measure the memory that the queue takes at 100, 1,000 and 10,000 messages a minute, and its slowest steps
	$(BIN)/python -m tests.bench.footprint

soak: $(VENV)/.test ## the long searches: what `make test` leaves out, and every property with many more examples
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "soak or hypothesis" --hypothesis-profile=soak --timeout 3600

FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.test ## damage webhooks and answers at random, FUZZ_SECONDS (60) each: the parsers and the extraction keep their promises
	$(BIN)/python -m tests.fuzz webhooks --seconds $(FUZZ_SECONDS) --seed $$(date +%s)
	$(BIN)/python -m tests.fuzz answers --seconds $(FUZZ_SECONDS) --seed $$(date +%s)

format: $(VENV)/.test ## format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what the targets made
	rm -rf $(VENV) tests/bench/peers/node_modules reports/out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# A .venv that does not run any more, or that was moved or copied along with its folder, is made anew.
VENV_WORKS := $(shell test "$$(cat $(VENV)/.made 2>/dev/null)" = "$$(pwd -P)" && $(BIN)/python -c '' 2>/dev/null && echo yes)
ifneq ($(VENV_WORKS),yes)
.PHONY: $(VENV)/.made
endif

$(VENV)/.made:
	@python="$(PYTHON)"; \
	test -n "$$python" || { echo "Python 3.11 or newer is needed and was not found; name one: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "PYTHON=$$python does not run, or is older than 3.11; name another, or none to have it searched for" >&2; exit 1; }; \
	rm -rf $(VENV); \
	if command -v uv >/dev/null 2>&1; then uv venv --quiet --python "$$python" $(VENV); \
	else "$$python" -m venv $(VENV) || { echo "this Python cannot make a virtual environment; Debian keeps that in the package python3-venv" >&2; rm -rf $(VENV); exit 1; }; fi
	@pwd -P > $@

# One stamp a set of extras: installed again when pyproject.toml is newer. "test" contains the others.
# Most modules of the packages are never imported: Python compiles the others when it needs them, and pip does not.
$(VENV)/.load $(VENV)/.serve $(VENV)/.sim $(VENV)/.test: $(VENV)/.%: $(VENV)/.made pyproject.toml
	@echo "installing what '$*' needs into $(VENV) …"
	@if command -v uv >/dev/null 2>&1; then uv pip install --quiet --python $(BIN)/python -e ".[$*]"; \
	else $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -e ".[$*]"; fi
	@touch $@ $(if $(filter test,$*),$(VENV)/.load $(VENV)/.serve $(VENV)/.sim)
