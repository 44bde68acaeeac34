# Two commands are enough on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup lock check format test test-all bench demo docs proto serve clean

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

check: setup ## formatting, lint, types, import contracts, protos
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/buf lint
	@tag=$$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null || true); \
	  if [ -z "$$tag" ]; then echo "buf breaking: no tag of a version yet, nothing to compare with"; \
	  else $(BIN)/buf breaking --against "$$(git rev-parse --git-common-dir)#tag=$$tag"; fi
	@$(BIN)/python -m service.generate --check
	@$(BIN)/python -m service.settings_page --check

proto: setup ## generate service/pb from proto/
	@$(BIN)/python -m service.generate

docs: setup ## write the reference of settings into docs/operations.md
	@$(BIN)/python -m service.settings_page

format: setup ## format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: setup ## tests but the slow ones
	@$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: setup ## every test
	@$(BIN)/python -m pytest --run-slow

bench: setup ## benchmarks, beside a plain implementation in the same run
	@$(BIN)/python -m benchmarks.search
	@$(BIN)/python -m benchmarks.reference
	@$(BIN)/python -m benchmarks.encoding
	@$(BIN)/python -m benchmarks.prediction
	@$(BIN)/python -m benchmarks.risk
	@$(BIN)/python -m benchmarks.allocation
	@$(BIN)/python -m benchmarks.typing_plan
	@$(BIN)/python -m benchmarks.cord
	@$(BIN)/python -m benchmarks.service

demo: setup ## the main job on embedded demo data: simulate, search, risk, allocation, service
	@sh examples/demo.sh $(BIN)

serve: export GRAFTMATCH_HOME := .demo
serve: setup ## serve the registry of `make demo` on 127.0.0.1:50051
	@test -d .demo/registry || $(MAKE) --no-print-directory demo
	@$(BIN)/graftmatch serve --release demo

clean: ## remove what the targets made
	rm -rf .venv .demo
