# Python 3.11 or newer and make are all that is needed; PYTHON=... chooses another interpreter.
PYTHON ?= python3
CONSTRAINTS := constraints.txt

# -P keeps the root out of sys.path: `core` must not be importable beside `refold.core`.
RUN := .venv/bin/python -P
PYTEST := $(RUN) -m pytest
PIP := $(RUN) -m pip --disable-pip-version-check install -qq -c $(CONSTRAINTS)

# The stamps carry the folder's name: an environment that was moved or copied points to the old place.
PLACE := $(shell printf '%s' "$(CURDIR)" | cksum | cut -d ' ' -f 1)
RUNTIME := .venv/.runtime-$(PLACE)
DEVELOPMENT := .venv/.development-$(PLACE)
PEERS := .venv/.peers-$(PLACE)

.DEFAULT_GOAL := help
.PHONY: help demo test test-system system-deps screenshots check bench bench-peers crash chaos shadow soak determinism goldens canonical fleet sleepers emergency ha incident-game budgets fuzz-api readers wheel clean docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## run a workflow, kill it in the middle, resume it, prove the result
	@.venv/bin/python examples/demo.py

test: $(DEVELOPMENT) ## run the whole suite; it starts a PostgreSQL of its own
	@$(PYTEST) -q -n 2 --ignore tests/browser --ignore tests/system

test-system: $(DEVELOPMENT) ## the tests that need Debian's packages: a real browser, clocks that jump, Prometheus, Alertmanager
	@$(PYTEST) -q --timeout 300 tests/browser
	@$(PYTEST) -q -n 2 --dist loadfile --timeout 300 tests/system

system-deps: ## install those packages by apt-get, with sudo unless root
	@.ci/system-deps chromium prometheus prometheus-alertmanager faketime

screenshots: $(DEVELOPMENT) ## take the console's pictures for the documentation, into docs/images/
	@$(RUN) -m refold.tests.browser.screenshots

check: $(DEVELOPMENT) ## lint, formatting, types, architecture
	@$(RUN) -m ruff check
	@$(RUN) -m ruff format --check
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(RUN) -m pyright
	@$(PYTEST) -q tests/test_architecture.py tests/test_house.py

bench: $(DEVELOPMENT) $(PEERS) ## measure against the limits of this machine, and beside DBOS
	@$(RUN) bench/run.py

bench-peers: $(DEVELOPMENT) $(PEERS) ## only beside DBOS, in more rounds
	@$(RUN) bench/run.py peers

crash: $(DEVELOPMENT) ## the long crash campaign: 500 kills
	@REFOLD_CRASHES=500 $(PYTEST) -q -n 2 --timeout 7200 tests/crash

chaos: MINUTES ?= 10
chaos: $(DEVELOPMENT) ## kill and stop workers at random, MINUTES=10 on each store
	@REFOLD_CHAOS_SECONDS=$$(($(MINUTES) * 60)) $(PYTEST) -q -n 2 --timeout $$(($(MINUTES) * 180 + 300)) tests/chaos

shadow: MINUTES ?= 10
shadow: $(DEVELOPMENT) ## run and prove workflows for MINUTES=10 while workers are killed, in refold-shadow/
	@$(RUN) -m refold shadow run --hours $$(awk 'BEGIN { print $(MINUTES) / 60 }') --interval 5 --faults kills --json

soak: MINUTES ?= 60
soak: $(DEVELOPMENT) ## everything under load and faults for MINUTES=60, with real alerts; what came of it, in refold-soak/
	@$(RUN) -m refold.tests.soak.campaign --minutes $(MINUTES)

docs: $(RUNTIME) ## write what follows from the code: docs/failures.md and its schema, the dashboard
	@$(RUN) -m refold.ops.grafana.panels
	@$(RUN) -m refold explain --markdown > docs/failures.md
	@$(RUN) -m refold explain --schema > docs/failures.schema.json

determinism: $(DEVELOPMENT) ## 22,500 iterations on three processes, replays under stress, and injected faults
	@$(RUN) -m refold certify determinism

goldens: $(DEVELOPMENT) ## what fixed runs do, compared with what is expected; differences in golden-check/
	@.ci/goldens

canonical: $(DEVELOPMENT) ## compare a million values with RFC 8785
	@REFOLD_CANONICAL_VALUES=1000000 $(PYTEST) -q --timeout 7200 tests/unit/test_canonical*.py

sleepers: RUNS ?= 100000
sleepers: $(DEVELOPMENT) ## put RUNS=100000 runs to sleep on each store, kill the worker, wake them
	@REFOLD_SLEEPERS=$(RUNS) $(PYTEST) -q -s --timeout 7200 tests/sleepers

fuzz-api: EXAMPLES ?= 100
fuzz-api: $(DEVELOPMENT) ## try every operation of the HTTP API with EXAMPLES=100 made from its own description
	@REFOLD_FUZZ_EXAMPLES=$(EXAMPLES) $(PYTEST) -q tests/api/test_fuzz.py

fleet: RUNS ?= 5000
fleet: $(DEVELOPMENT) ## prove RUNS=5000 mixed runs as a job, killed and resumed, without a false alarm
	@REFOLD_FLEET_RUNS=$(RUNS) $(PYTEST) -q --timeout 7200 tests/replay/test_jobs.py

emergency: ROUNDS ?= 20
emergency: $(DEVELOPMENT) ## stop four busy workers ROUNDS=20 times, and measure how soon nothing begins
	@REFOLD_EMERGENCY_ROUNDS=$(ROUNDS) $(PYTEST) -q -s --timeout 7200 tests/emergency

ha: ROUNDS ?= 20
ha: $(DEVELOPMENT) ## kill the primary of a replicated PostgreSQL under load, ROUNDS=20 times; nothing acknowledged is lost
	@REFOLD_HA_ROUNDS=$(ROUNDS) $(PYTEST) -q -s --timeout 7200 tests/ha/test_failover.py

incident-game: ROUNDS ?= 5
incident-game: $(DEVELOPMENT) ## cause five kinds of incidents, ROUNDS=5 times: alert, cause named, cured by the runbook, over
	@REFOLD_INCIDENT_ROUNDS=$(ROUNDS) $(PYTEST) -q -s --timeout 7200 tests/system/test_incident_game.py

budgets: ROUNDS ?= 10
budgets: $(DEVELOPMENT) ## four workers under budgets, rates and places, ROUNDS=10 times, some killed; what was measured
	@REFOLD_BUDGET_ROUNDS=$(ROUNDS) $(PYTEST) -q -s --timeout 7200 tests/policy/test_four_processes.py

readers: APPENDS ?= 1000000
readers: $(DEVELOPMENT) ## 32 writers append APPENDS=1000000 events on each store while a projection follows
	@REFOLD_APPENDS=$(APPENDS) $(PYTEST) -q --timeout 7200 tests/projections/test_following.py -k nothing_is_skipped

wheel: $(DEVELOPMENT) ## build the wheel into dist/
	@rm -rf build dist  # setuptools packs whatever an earlier build left there
	@PIP_CONSTRAINT=$(CONSTRAINTS) $(RUN) -m build --wheel > build.log 2>&1 || { cat build.log; exit 1; }
	@rm -rf build build.log
	@ls dist/*.whl

clean: ## remove everything that make made
	@rm -rf .venv build dist build.log golden-check *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): pyproject.toml $(CONSTRAINTS)
	@echo "Installing into .venv ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Refold needs Python 3.11 or newer.")'
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) -e .
	@touch $@

$(DEVELOPMENT): $(RUNTIME)
	@echo "Installing the development tools ..."
	@$(PIP) -e ".[dev]"
	@mkdir -p .venv/checkout && ln -sfn ../.. .venv/checkout/refold
	@touch $@

# What Refold is measured beside. Without it the benchmark says so and goes on.
$(PEERS): $(DEVELOPMENT)
	@$(PIP) -e ".[bench]" && touch $@ || echo "DBOS could not be installed." >&2
