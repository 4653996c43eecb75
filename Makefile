# Parley's commands. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PROTOS = $(shell cd protos && find parley -name '*.proto' | sort)

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The locks pin every version with its hashes and name no registry: pip takes the one the machine is set up with.
.venv/run.stamp: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "parley: python3 is missing: install Python 3.11 or newer"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "parley: Python 3.11 or newer is needed, $$($(PYTHON) --version) was found"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing Parley into .venv (about 300 MB, once)"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/run.stamp
	@echo "Installing what the tests need"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

.PHONY: install
install: .venv/run.stamp ## Install what running needs into .venv.

.PHONY: run
run: .venv/run.stamp ## Install and start everything; Ctrl-C stops it.
	@exec $(BIN)/parley up

.PHONY: stack
stack: .venv/dev.stamp ## The full profile: Keycloak, RabbitMQ, Kafka and OpenBao too; installs Java, Maven and RabbitMQ as root.
	@$(BIN)/python -m deploy.local.programs stack
	@exec $(BIN)/parley up --profile full

.PHONY: test
test: .venv/dev.stamp ## Install what the tests need and run all of them.
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m deploy.local.programs test
	@$(BIN)/python -m deploy.local.prepare .cache/parley
	@# Most of the time goes into waiting for servers: three at a time keep two cores busy.
	$(BIN)/pytest -q -n 3 tests/mesh tests/acceptance tests/adapters tests/deploy tests/stack tests/faults

.PHONY: check
check: .venv/dev.stamp ## Format, lint, types, contracts and unit tests: under two minutes.
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory lint types
	$(BIN)/pytest -q -n 2 tests/architecture tests/services

.PHONY: lint
lint: .venv/dev.stamp ## Lint Python, protos and the import contracts.
	$(BIN)/ruff check .
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/lint-imports

.PHONY: types
types: .venv/dev.stamp ## Check types strictly.
	$(BIN)/mypy

.PHONY: format
format: .venv/dev.stamp ## Format Python and protos.
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format .
	$(BIN)/buf format -w

.PHONY: gen
gen: .venv/dev.stamp ## Regenerate gen/ from protos/.
	@# Compiled before the old is deleted: a mistake in a proto takes nothing away.
	$(BIN)/python -m grpc_tools.protoc -I protos --descriptor_set_out=gen/parley/descriptors.binpb --include_imports --include_source_info $(PROTOS)
	find gen -name '*_pb2*' -delete
	$(BIN)/python -m grpc_tools.protoc -I protos --python_out=gen --grpc_python_out=gen \
	  --plugin=protoc-gen-mypy=$(BIN)/protoc-gen-mypy --mypy_out=quiet:gen \
	  --plugin=protoc-gen-mypy_grpc=$(BIN)/protoc-gen-mypy_grpc --mypy_grpc_out=quiet:gen $(PROTOS)

.PHONY: lock
lock: .venv/dev.stamp ## Pin the dependencies of pyproject.toml anew, with hashes.
	$(BIN)/uv pip compile -q pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -o requirements.lock
	$(BIN)/uv pip compile -q pyproject.toml --extra build --extra dev -c requirements.lock --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header -o requirements-dev.lock

.PHONY: bench
bench: .venv/dev.stamp ## Measure against the floors and print the ratios.
	$(BIN)/python -m tests.benchmarks

.PHONY: test-long
test-long: .venv/dev.stamp ## What takes minutes or a quiet machine: latency beside an attacker.
	$(BIN)/pytest -q -s tests/long

.PHONY: faults
faults: .venv/dev.stamp ## Kill, pause and empty a house's parts under load for minutes, and judge.
	$(BIN)/python -m tests.faults

.PHONY: mutants
mutants: .venv/dev.stamp ## Put each fault of tests/mutants into a copy of the tree, and see that its tests notice.
	$(BIN)/python -m tests.mutants $(MUTANTS)

.PHONY: clean
clean: ## Remove the installed environment; the data in .parley stays.
	rm -rf .venv
