# Everything a newcomer needs: `make demo`, `make test`. Each sets itself up in .venv from the locked versions.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPARK := .venv-spark
ORACLE := .venv-oracle
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: demo test check gold doctests spark oracle scenarios bench docs lock clean
.DEFAULT_GOAL := demo

$(VENV)/.runtime: requirements/runtime.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headwater needs Python 3.11 or newer: make PYTHON=python3.11 demo")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing Headwater into $(VENV) (once; about a minute)"
	$(PIP) install --quiet --require-hashes -r requirements/runtime.lock
	$(PIP) install --quiet --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock requirements/delta.lock $(VENV)/.runtime
	$(PIP) install --quiet --require-hashes -r requirements/dev.lock
	$(PIP) install --quiet --require-hashes --no-deps -r requirements/delta.lock
	@touch $@

demo: $(VENV)/.runtime          ## a live bronze → silver → gold medallion for 30 seconds
	$(BIN)/headwater demo

test: $(VENV)/.dev spark        ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0  # the test that ended a worker would end the next

doctests: $(VENV)/.dev         ## run PySpark's own doctests, publish the counts, extend the record (minutes)
	cd tests && ../$(BIN)/python -m support.doctest_report

gold: $(VENV)/.dev             ## run Spark's function examples, publish the counts, extend the record
	cd tests && ../$(BIN)/python -m support.gold_report

# Genuine Spark with Delta Lake reads what we wrote. It needs Java and Maven; where they are missing its tests are
# skipped and say so.
spark:
	@if command -v java >/dev/null && command -v mvn >/dev/null; then $(MAKE) --no-print-directory $(SPARK)/.ready; \
	else echo "No Java or Maven here: the tests that ask genuine Spark will be skipped."; fi

$(SPARK)/.ready: requirements/spark.txt
	test -x $(SPARK)/bin/python || $(PYTHON) -m venv $(SPARK)
	@echo "Installing Apache Spark and Delta Lake into $(SPARK) for the tests (once; some minutes)"
	$(SPARK)/bin/pip install --disable-pip-version-check --quiet -r requirements/spark.txt
	for jar in delta-spark_4.1_2.13 delta-storage delta-kernel-api delta-kernel-defaults delta-kernel-unitycatalog; do \
	    mvn --quiet --batch-mode dependency:copy -Dartifact=io.delta:$$jar:4.3.0 -DoutputDirectory=$(SPARK)/jars || exit 1; done
	@touch $@

oracle: $(ORACLE)/.ready        ## genuine Spark 4.3, which needs Java 17, to record stream scenarios with

$(ORACLE)/.ready: requirements/oracle.txt
	test -x $(ORACLE)/bin/python || $(PYTHON) -m venv $(ORACLE)
	$(ORACLE)/bin/pip install --disable-pip-version-check --quiet -r requirements/oracle.txt
	@touch $@

scenarios: oracle               ## record what Spark gives for tests/scenarios (all: half an hour; one: ONLY="--only limit/four --straight")
	cd tests && $(abspath $(ORACLE))/bin/python -m support.scenarios_spark $(ONLY)

check: $(VENV)/.dev             ## lint, types, layers, size budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/support/budgets.py

bench: $(VENV)/.dev             ## speed beside a hand-written floor
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev              ## regenerate the generated reference pages
	$(BIN)/python docs/generate.py
	$(BIN)/python -m headwater.capabilities > docs/reference/compatibility.md

lock:                           ## renew the locked versions (needs `uv` on the path)
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	    pyproject.toml -o requirements/runtime.lock --constraint requirements/constraints.txt --upgrade
	uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --custom-compile-command "make lock" \
	    --extra dev pyproject.toml -o requirements/dev.lock --constraint requirements/runtime.lock --upgrade

clean:                          ## remove what the targets above made
	rm -rf $(VENV) $(SPARK) $(ORACLE) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache benchmarks/out
