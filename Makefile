# Needs python3 (3.11 or newer), make and a C++ compiler. Everything else goes into .venv.

PYTHON ?= python3
VENV ?= .venv
REPORT ?= report
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help venv compare test verify lint format bench clean

help:  ## This list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

venv: $(INSTALLED)  ## Make .venv and install the package into it (again, if pyproject.toml changed)

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment: install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check --editable ".[dev,rtl]"
	@touch $@

compare: $(INSTALLED)  ## Run the shipped one-bit model, cost it beside FP16, leave a report in report/
	$(BIN)/xnorscan compare -o $(REPORT)

test: $(INSTALLED)  ## All tests
	$(BIN)/pytest

verify: $(INSTALLED)  ## The long hardware checks: every preset, gate level, mutants, place and route
	$(BIN)/pytest -m verify

lint: $(INSTALLED)  ## Style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p $(VENV)/src && ln -sfn "$(CURDIR)" $(VENV)/src/xnorscan
	MYPYPATH=$(VENV)/src $(BIN)/mypy -p xnorscan

format: $(INSTALLED)  ## Mend style and format in place
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED)  ## The figures that README and docs quote
	$(BIN)/python benchmarks/run.py

clean:  ## Remove what was built; keeps .venv
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis $(REPORT)
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
