# Transept: `make demo` and `make test` need Python 3.11 or newer and nothing else.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= 2
READY := $(VENV)/.ready
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench clean

help:
	@echo "make setup   build $(VENV) with the package, its tests' tools and its benchmarks' peers"
	@echo "make demo    train the date translator and show what it learned (ARGS=--json for machines)"
	@echo "make test    lint, types and every test"
	@echo "make lint    lint and types alone"
	@echo "make bench   measure against the peers, one short round (ARGS='--rounds 3': long ones)"
	@echo "make clean   remove $(VENV) and every cache"

setup: $(READY)
	@echo "setup: $(VENV) is ready ($$($(BIN)/python -V), torch $$(sed -n 's/^torch==//p' constraints.txt))"

$(READY): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || \
	  { echo "setup: no '$(PYTHON)' on the path; install Python 3.11 or newer, or say make PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "setup: Python 3.11 or newer is needed, '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1); say make PYTHON=/path/to/python"; exit 1; }
	@echo "setup: making $(VENV) with $$("$(PYTHON)" -V)"
	@"$(PYTHON)" -m venv "$(VENV)" || \
	  { echo "setup: '$(PYTHON)' cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "setup: installing the pinned packages (torch among them: about a minute, and longer on a slow line)"
	@$(BIN)/python -m pip install -qq --constraint constraints.txt hatchling editables
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --no-build-isolation --editable ".[dev]"
	@touch "$@"

demo: setup
	@echo "demo: training the date translator (about two minutes on two cores)"
	@$(BIN)/transept demo $(ARGS)

lint: setup
	@echo "lint: ruff check"
	@$(BIN)/ruff check --quiet .
	@echo "lint: ruff format"
	@$(BIN)/ruff format --quiet --check .
	@echo "lint: mypy --strict"
	@$(BIN)/mypy --no-error-summary src

test: lint
	@echo "test: pytest on $(JOBS) processes"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

bench: setup
	@for file in $$(grep -l 'peers.main' benchmarks/*.py); do echo "bench: $$file"; $(BIN)/python "$$file" $(or $(ARGS),--quick) || exit 1; done

clean:
	@echo "clean: removing $(VENV) and caches; runs/ stays"
	@rm -rf "$(VENV)" .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
