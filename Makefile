# Every target works from a fresh clone: it makes what it needs first. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(p))))
VENV   := .venv
PY     := $(VENV)/bin/python

# A directory's own time changes when a file is added to it or removed, so a deleted proto is noticed too.
PROTOS     := $(shell find protos -name '*.proto' 2>/dev/null | sort)
PROTO_TREE := $(shell find protos -mindepth 1 -type d 2>/dev/null)

.PHONY: help setup protos run stop test test-fast test-extras test-debian13 lint types audit fmt bench chaos clean lock \
  unicode documents release-contract

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.tools ## make .venv and install the backing servers that are missing
	@$(PY) -m devstack install

protos: gen/.ready ## generate gen/ from protos/
	@:

run: $(VENV)/.ready gen/.ready ## start everything, with data and logs under .run/ (Ctrl-C ends it)
	@$(PY) -m devstack run

stop: ## end a `make run` from another terminal
	@if [ -x $(PY) ]; then $(PY) -m devstack stop; else echo "nothing runs"; fi

JOBS ?= 3

test: setup gen/.ready ## run all tests against real servers, JOBS=3 side by side (they mostly wait), or JOBS=0
	@$(PY) -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/.tools gen/.ready ## the tests that need no server, in less than a minute
	@$(PY) -m pytest --quiet --numprocesses 2 --dist loadfile tests/unit tests/properties tests/architecture

test-extras: setup gen/.ready ## tests with programs of others (Nginx, Chromium: 0.5 GB, by apt where they are missing)
	@$(PY) -m devstack.packages extras
	@$(PY) -m pytest tests/extras

TARGET ?= test

test-debian13: ## as root: TARGET=test in a fresh Debian 13 that debootstrap makes, and that is taken away again
	@.ci/debian13 $(TARGET)

lint: $(VENV)/.tools gen/.ready ## ruff, import rules, style of the protos
	@echo "lint: ruff check" && $(VENV)/bin/ruff check --quiet
	@echo "lint: ruff format" && $(VENV)/bin/ruff format --check --quiet
	@echo "lint: import rules" && $(VENV)/bin/lint-imports --no-cache
	@echo "lint: buf" && $(VENV)/bin/buf lint
# Suspended until 0.2.0, which breaks contracts while nobody runs Parley yet (CHANGELOG.md):
# `buf breaking --against released/contract.binpb`

types: $(VENV)/.tools gen/.ready ## mypy --strict
	@$(VENV)/bin/mypy

audit: $(VENV)/.tools ## look for known vulnerabilities of the locked packages
	@$(PY) .ci/audit.py

fmt: $(VENV)/.tools ## format the Python code and the protos, and sort the imports
	@$(VENV)/bin/ruff check --quiet --fix-only --select I
	@$(VENV)/bin/ruff format --quiet
	@if [ -d protos ]; then $(VENV)/bin/buf format --write; fi

bench: setup gen/.ready ## run the measurements in bench/
	@shopt -s nullglob; scripts=(bench/bench_*.py); \
	if [ $${#scripts[@]} -eq 0 ]; then echo "bench/ has no bench_*.py yet"; fi; \
	for script in "$${scripts[@]}"; do echo "== $$script"; $(PY) "$$script"; done

SECONDS ?= 60
SEED    ?=

chaos: setup gen/.ready ## break everything under load for SECONDS=60 by a schedule that SEED=1 repeats
	@$(PY) -m chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

clean: stop ## remove what was generated; the data of `make run` (.run/) stay
	@rm -rf gen gen.new $(VENV) .venv-devstack .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.run/*' -prune -exec rm -rf {} +

lock: $(VENV)/.tools ## resolve requirements*.in to exact versions again
	@$(PY) -m pip install --quiet uv
	@for kind in requirements requirements-build requirements-run requirements-dev; do \
	  $(VENV)/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --no-header $$kind.in --output-file $$kind.lock; \
	done

unicode: $(VENV)/.ready ## renew the pinned Unicode data of contract/ from the locked `regex`
	@$(PY) .ci/unicode_tables.py >contract/unicode_tables.py

COMMIT ?= HEAD

# The image has no comments and positions: it is small, and stays the same when only a comment changes.
documents: gen/.ready ## renew what is written from the contract into documents and clients
	@$(PY) -m codegen.documents

release-contract: $(VENV)/.tools ## note COMMIT=HEAD and its contract as those of the last release
	@git archive $(COMMIT) protos buf.yaml | $(VENV)/bin/buf build '-#format=tar' --exclude-source-info \
	  --output released/contract.binpb
	@git rev-parse --verify '$(COMMIT)^{commit}' >released/commit
	@echo "released/: $$(git log -1 --format='%h, %s' $(COMMIT))"

# Two levels: what `make run` needs, and on top of it what checks and tests. What is missing of Debian's packages is told,
# or installed, before pip takes its time; for a target that tests, all that the tests need.
NEEDS = run
setup test bench chaos: NEEDS = everything

# The .pth file puts the project's own import roots into the environment, so that
# `.venv/bin/python -m parley_client` works from anywhere without PYTHONPATH.
$(VENV)/.ready: requirements-run.lock
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "setup: Python 3.11 or newer is needed; install it, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -m devstack.packages $(NEEDS)
	@echo "setup: creating $(VENV)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(call install,requirements-run.lock,to run: about 160 MB)
	@$(PY) -c 'import pathlib, sysconfig; root = pathlib.Path.cwd(); \
	  pathlib.Path(sysconfig.get_path("purelib"), "parley.pth").write_text( \
	    "".join(f"{root / p}\n" for p in ("", "gen", "clients/python")))'
	@touch $@

$(VENV)/.tools: $(VENV)/.ready requirements-dev.lock
	@$(call install,requirements-dev.lock,to test and check: about 370 MB more)
	@touch $@

define install
echo "setup: installing the locked Python packages $(2), a minute or two"; started=$$(date +%s); \
$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); \
echo "setup: $(VENV) has $$(du -sm $(VENV) | cut -f1) MB, after $$(($$(date +%s) - started)) s"
endef

# Generated beside gen/ and swapped in, so that a failure leaves the last good code in place.
gen/.ready: $(VENV)/.ready $(PROTOS) $(PROTO_TREE) $(wildcard codegen/*.py)
	@echo "protos: generating gen/"
	@rm -rf gen.new && mkdir gen.new
	@if [ -n "$(PROTOS)" ]; then $(PY) -m grpc_tools.protoc -I protos \
	  --plugin=protoc-gen-mypy=$(VENV)/bin/protoc-gen-mypy \
	  --plugin=protoc-gen-mypy_grpc=$(VENV)/bin/protoc-gen-mypy_grpc \
	  --python_out=gen.new --grpc_python_out=gen.new \
	  --mypy_out=quiet:gen.new --mypy_grpc_out=quiet,only_async:gen.new $(PROTOS); fi
	@PYTHONPATH=gen.new $(PY) -m codegen protos gen.new
	@touch gen.new/.ready && rm -rf gen && mv gen.new gen
