# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup lock check format test test-all bench demo clean

help: ## show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## install everything into .venv

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "graftmatch needs Python 3.11 or newer: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python has no venv here; install it, e.g. apt-get install python3-venv"; exit 1; }
	@echo "installing into .venv (once, a few minutes)"
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --extra dev \
	  --no-header --no-emit-index-url --no-annotate --upgrade --quiet -o requirements.lock pyproject.toml

check: setup ## formatting, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: setup ## tests but the slow ones
	@$(BIN)/python -m pytest

test-all: setup ## every test
	@$(BIN)/python -m pytest --run-slow

bench: setup ## benchmarks, beside a plain implementation in the same run
	@$(BIN)/python -m benchmarks.search
	@$(BIN)/python -m benchmarks.reference

demo: export GRAFTMATCH_HOME := .demo
demo: setup ## simulate, import and search a registry of embedded demo data
	@rm -rf .demo
	@echo "1. 20,000 simulated donors and 50 patients (synthetic frequencies, no population)"
	@$(BIN)/graftmatch registry simulate --release demo --donors 20000 --patients 50 --frequencies demo --seed 1 --out .demo/simulated
	@echo; echo "2. Import into the registry"
	@$(BIN)/graftmatch registry import .demo/simulated/donors.csv --release demo
	@echo; echo "3. All patients, at most one mismatch at A, B, C, DRB1, DQB1"
	@$(BIN)/graftmatch match --patients .demo/simulated/patients.csv --release demo --limit 8
	@echo; echo "4. One patient"
	@$(BIN)/graftmatch match --patient 'A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01^DPB1*04:01+DPB1*03:01' --release demo --limit 8
	@echo
	@echo "What to try next, in this folder:"
	@echo "  export GRAFTMATCH_HOME=.demo PATH=\$$PWD/$(BIN):\$$PATH"
	@echo "  graftmatch match --patients .demo/simulated/patients.csv --release demo --max-mismatches 2 --out donors.csv"
	@echo "  graftmatch reference install 3.58.0      # the real nomenclature, from its public repository"
	@echo "  graftmatch registry import --help        # your own donors"

clean: ## remove what the targets made
	rm -rf .venv .demo
