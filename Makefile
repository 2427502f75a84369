# trigger-lite: everything a contributor types. `make` alone lists it.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
CHECKED := $(wildcard trigger_lite tests examples bench scripts)
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
  --build-deps-for editable --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help venv demo test system-packages check lint types imports rules fmt bench screenshot lock clean
# One target at a time: two of them must never install into the same environment at once.
.NOTPARALLEL:

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(DEV) ## make .venv with everything a contributor needs

$(RUNTIME): requirements.lock pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh $(VENV) requirements.lock
	@touch $@

$(DEV): requirements-dev.lock pyproject.toml scripts/make_venv.sh
	@scripts/make_venv.sh $(VENV) requirements-dev.lock
	@touch $@ $(RUNTIME)

demo: $(RUNTIME) ## run the examples on a real server, then stop (KEEP=1 leaves it serving)
	@KEEP="$(KEEP)" $(BIN)/python scripts/demo.py

test: $(DEV) system-packages check ## everything: checks, unit, PostgreSQL, journeys, browser
	@status=0; set -x; \
	$(PYTEST) -n 2 --dist worksteal -m "not journey" || status=1; \
	$(PYTEST) -m journey || status=1; \
	exit $$status

system-packages: $(DEV) ## install what the tests need beyond Python, or say what is missing
	@$(BIN)/python scripts/system_packages.py

check: lint types imports rules ## the whole gate except the tests themselves

lint: $(DEV) ## style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(DEV) ## mypy, strict
	$(BIN)/mypy $(CHECKED)

imports: $(DEV) ## who may import whom
	$(BIN)/lint-imports --no-logo

rules: $(DEV) ## architecture, sizes and documents
	$(PYTEST) -q tests/test_architecture.py tests/test_sizes.py tests/test_docs.py

fmt: $(DEV) ## format, sort imports, redraw what documents show of the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix
	$(BIN)/python -m scripts.redraw

bench: $(DEV) ## measure speed and weight on this machine
	$(BIN)/python -m bench

screenshot: $(DEV) ## take the README's picture of the dashboard
	$(BIN)/python scripts/screenshot.py

lock: $(DEV) ## write the lock files anew from pyproject.toml
	$(COMPILE) --output-file requirements.lock pyproject.toml
	$(COMPILE) --all-extras --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

clean: ## remove everything that can be made again
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
