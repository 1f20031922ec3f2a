# Bare words: up demo test lint bench. Each installs what it needs into .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
OPENAI_V2 := .venv-openai-v2
NODE_MODULES := tests/timescale/node_modules/.installed
EXTRAS := embedded,parquet,s3,demo,test,lint
# Tests run on both cores of a small machine; pytest-randomly shuffles them. Groups keep one worker, so that what they
# share (TimescaleDB in WebAssembly) is started once.
JOBS ?= auto
TESTS ?=

.PHONY: help up demo test lint audit bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make up     start the hub (API_PORT, HUB_DATA_DIR and the other settings are honoured)"
	@echo "make demo   start it with demo data"
	@echo "make test   run the tests (TESTS=path to choose, JOBS=1 for one process)"
	@echo "make lint   check style, types, layers, migrations and the API schema"
	@echo "make audit  ask PyPI for known vulnerabilities of the locked packages"
	@echo "make bench  measure; results go to the terminal"

up: $(INSTALLED)
	@HUB_UNDER_MAKE=1 exec $(BIN)/python manage.py up

demo: $(INSTALLED)
	@HUB_UNDER_MAKE=1 exec $(BIN)/python manage.py up --demo

test: $(INSTALLED) $(OPENAI_V2)/.installed timescale-server
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(TESTS)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy analytics_hub apps celery_worker tests bench manage.py
	$(BIN)/lint-imports
	$(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

# Not part of lint: it needs pypi.org itself, whose answers change without a change here. A package that cannot be looked
# up fails it, so a mirror without PyPI's JSON API never passes for a clean bill.
audit: $(INSTALLED)
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement requirements.lock

bench: $(VENV)/.bench-installed
	$(BIN)/python -m bench.forecast
	$(BIN)/python -m bench.ingest
	$(BIN)/python -m bench.queries
	$(BIN)/python -m bench.api
	$(BIN)/python -m bench.pages
	$(BIN)/python -m bench.edge
	$(BIN)/python -m bench.exports
	$(BIN)/python -m bench.read_back
	$(BIN)/python -m bench.kill

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Analytics Hub needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "The virtual environment could not be made; on Debian and Ubuntu install python3-venv." >&2; \
	  rm -rf $(VENV); exit 1; }

$(INSTALLED): $(BIN)/python pyproject.toml requirements.lock
	@echo "Installing into $(VENV) (half a minute) ..."
	-@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip setuptools wheel
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[$(EXTRAS)]'
	@touch $@

# statsmodels is large and only its series are used, so only measuring installs it.
$(VENV)/.bench-installed: $(INSTALLED)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[bench]'
	@touch $@

# opentelemetry-instrumentation-openai-v2 works with older companions only, so it has an environment of its own.
$(OPENAI_V2)/.installed: $(INSTALLED) tests/clients/requirements-openai-v2.txt
	@echo "Installing into $(OPENAI_V2) ..."
	@$(BIN)/python -m venv $(OPENAI_V2)
	@$(OPENAI_V2)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/clients/requirements-openai-v2.txt
	@touch $@

# TimescaleDB for tests, where Node is at hand; without it the tests that need it say why they are skipped.
.PHONY: timescale-server
timescale-server:
	@if [ ! -f tests/timescale/package.json ]; then :; \
	elif ! command -v npm >/dev/null; then echo "npm is missing: the TimescaleDB tests will be skipped." >&2; \
	else $(MAKE) --no-print-directory $(NODE_MODULES); fi

$(NODE_MODULES): tests/timescale/package.json tests/timescale/package-lock.json
	@cd tests/timescale && npm ci --silent --no-audit --no-fund
	@touch $@

# After a change of the dependencies in pyproject.toml.
lock: $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade -e '.[$(EXTRAS),bench]'
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools > requirements.lock

clean:
	rm -rf $(VENV) $(OPENAI_V2) tests/timescale/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
