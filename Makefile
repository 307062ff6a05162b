# Two commands on a fresh machine: `make demo` and `make test`. Nothing is written outside this
# folder; the first call of either makes .venv (a few minutes), later calls reuse it.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-cache-dir \
	--constraint constraints.txt

# Matplotlib would otherwise write its font cache to the user's home.
export MPLCONFIGDIR := $(CURDIR)/.dagster/matplotlib
# And PyTensor, of the extra bayes, its compiled code.
export PYTENSOR_FLAGS := base_compiledir=$(CURDIR)/.dagster/pytensor

.PHONY: help demo ui test test-slow test-faults check format docs bench study all-extras clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: .venv/.run ## materialise everything for the shipped libraries and print a summary
	@$(BIN)/python -m compassign_assets.demo

ui: .venv/.run ## serve the web UI, its daemon and the reports on loopback
	@$(BIN)/python -m compassign_assets.ui

test: .venv/.dev ## set up, check style, types and layers, and run the tests
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-slow: .venv/.dev ## tests that start servers or a browser (minutes)
	@$(BIN)/python -m pytest -m slow

test-faults: .venv/.dev ## kill -9 at N random moments (default 6), full disks; prints counts
	@COMPASSIGN_FAULTS=$(or $(N),6) $(BIN)/python -m pytest -m faults tests/faults tests/pipeline

check: .venv/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: .venv/.dev ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: .venv/.run ## write docs/data-contracts.md from the contracts
	@$(BIN)/python -m compassign_assets.contract_docs

bench: .venv/.dev ## side-by-side measurements; results go to benchmarks/results/
	@$(BIN)/python -m benchmarks.prep --quick
	@$(BIN)/python -m benchmarks.ridge
	@$(BIN)/python -m benchmarks.hierarchy
	@$(BIN)/python -m benchmarks.mixed_models
	@$(BIN)/python -m benchmarks.scoring

study: .venv/.dev ## models on the shipped data, worksheet by worksheet (some minutes)
	@$(BIN)/python -m benchmarks.quality

all-extras: .venv/.dev ## also install what later stages need: torch (CPU build) and PyMC
	@$(PIP) "torch" && $(PIP) --editable ".[bayes,regressor]" && $(BIN)/python -m pip check

.venv/.run: pyproject.toml constraints.txt
	@echo "Setting up .venv (some minutes, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/.run
	@$(PIP) --editable ".[dev]"
	@touch $@

clean: ## remove what demo and test made, except the environment
	rm -rf lake .dagster warehouse.duckdb .tmp_dagster_home_* .pytest_cache .mypy_cache .ruff_cache .hypothesis
