# Everything a newcomer needs: `make demo`, `make test`. Each sets itself up in .venv from the locked versions.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: demo test check bench docs lock clean
.DEFAULT_GOAL := demo

$(VENV)/.runtime: requirements/runtime.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headwater needs Python 3.11 or newer: make PYTHON=python3.11 demo")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Headwater into $(VENV) (once; about a minute)"
	$(PIP) install --quiet --require-hashes -r requirements/runtime.lock
	$(PIP) install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.runtime
	$(PIP) install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

demo: $(VENV)/.runtime          ## a live bronze → silver → gold medallion for 30 seconds
	$(BIN)/headwater demo

test: $(VENV)/.dev              ## the whole test suite
	$(BIN)/python -m pytest

check: $(VENV)/.dev             ## lint, types, layers, size budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/support/budgets.py

bench: $(VENV)/.dev             ## speed beside a hand-written floor
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev              ## regenerate the generated reference pages
	$(BIN)/python -m headwater.capabilities > docs/reference/compatibility.md

lock:                           ## renew the locked versions (needs `uv` on the path)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	    pyproject.toml -o requirements/runtime.lock --upgrade
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	    --extra dev pyproject.toml -o requirements/dev.lock --constraint requirements/runtime.lock --upgrade

clean:                          ## remove what the targets above made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache benchmarks/out
