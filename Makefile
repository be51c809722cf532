# Everything a contributor may do. `make` alone lists it.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo up kafka test unit bench long golden chaos soak check format lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make or update .venv from the lock file; every target below does it first
	@$(PYTHON) tools/set_up.py

demo: setup ## Show a live fleet: Kafka, a worker, agents and tasks, until Ctrl-C
	$(BIN)/coordinator dev

up: setup ## The same as separate processes, as in the Procfile
	$(BIN)/honcho start

kafka: setup ## Run a Kafka on this machine, until Ctrl-C
	$(BIN)/coordinator kafka --port 9092

test: setup ## Run the whole test suite, three files at a time, each beside a Kafka of its own
	$(BIN)/pytest --numprocesses=3 --dist=loadfile --no-loadscope-reorder $(ARGS)

unit: setup ## Run the tests that need no Kafka
	$(BIN)/pytest tests/unit tests/contract

bench: setup ## Measure throughput beside other stream processors; make bench ARGS="latency --rates 1000"
	$(BIN)/coordinator bench $(or $(ARGS),throughput)

long: setup ## Run the crash tests in their long form: kills at every step, every block damaged, ten minutes of silence
	COORDINATOR_LONG_TESTS=1 $(BIN)/pytest tests/crash tests/integration/engine tests/unit/streams tests/golden

golden: setup ## Write the golden logs of the version in the making; those of released versions stay as they are
	$(BIN)/python -m tests.golden.corpus 0.1

chaos: setup ## Kill, pause and move the workers of a whole coordinator 210 times, and check all that is left behind
	$(BIN)/python -m tests.chaos.run

soak: setup ## Half an hour at half of what a worker can do, with kills: does anything grow? SOAK_MINUTES=5 for less
	$(BIN)/python -m tests.chaos.soak

check: setup ## Lint, check the format, check the types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: setup ## Format the code, and fix what can be fixed
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: setup ## Resolve the newest dependencies into the lock files
	$(PYTHON) tools/set_up.py --lock

clean: ## Remove everything that was built here: .venv, caches, local data
	rm -rf .venv .coordinator build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
