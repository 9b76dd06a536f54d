# The only task runner. Everything it makes is ignored by git.
#
# Rules:
# - pip alone sets up; Debian packages are the business of .ci/run;
# - tests and tools run against the built and installed project, never an
#   editable one, so that what is tested is what a wheel holds;
# - a stamp per step: nothing is installed twice, and any change of the sources
#   installs the project again before the next command uses it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

PROTO_VENV := .venv-proto
# An old release on purpose: every protobuf from 5.29 on loads what it makes,
# while newer generated code refuses to load in older protobuf.
PROTO_TOOLS := grpcio-tools==1.71.2
PROTO_OUT := shmtel/wire/pb

PACKAGES := shmtel collector/shmtel_collector
# The directories are listed too: their times tell of files that went away.
SOURCES := pyproject.toml setup.py README.md LICENSE \
	$(shell find $(PACKAGES) -name __pycache__ -prune -o -print)
C_FILES := $(wildcard shmtel/csrc/*.c)
C_SOURCES := $(wildcard shmtel/csrc/*.[ch] tests/native/*.[ch] benchmarks/*.c)
C_STRICT := -std=c11 -O2 -Wall -Wextra -Wshadow -Wconversion -Werror -fvisibility=hidden

PYTEST := $(BIN)/pytest -q
# Most tests wait most of the time, so two files at a time take half as long.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile

.PHONY: help demo test test-native test-file test-system test-pythons stress chaos control-chaos simulation soak hub-away isolation model check build proto proto-check format lint types native sanitize fuzz bench layout events dashboard docs clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/product.stamp  ## set up, then run the whole line on real input
	$(BIN)/shmtel demo

test: $(VENV)/dev.stamp  ## set up, then run every test that pip alone can set up
	$(PYTEST) $(SIDE_BY_SIDE) -m "not system"

# All but those that do not look at where rings are: the hub's own tests and those of
# words make none, and bridges, servers and frozen processes see only what comes out
# of them. Chaos draws where its rings are.
WITHOUT_RINGS := tests/chaos tests/docs tests/deploy \
	$(addprefix tests/unit/,catalog contrib hub policy wire) \
	tests/simulation tests/packaging tests/typing tests/native/test_native.py \
	$(addprefix tests/property/,test_correlation.py test_cut.py test_frames.py \
	test_policy_machine.py test_ring_table.py test_uplink_canaries.py \
	test_safe_text.py test_uplink_machine.py test_verdicts.py) \
	$(addprefix tests/e2e/,test_contrib_celery.py test_contrib_gunicorn.py \
	test_fleet_reconnect.py test_frozen.py test_hub_answers.py \
	test_hub_control.py test_hub_delivery.py test_hub_explain.py test_hub_fencing.py \
	test_hub_files.py test_hub_isolation.py test_hub_metrics.py \
	test_hub_redelivery.py test_hub_status.py test_hub_wedged.py test_link_events.py \
	test_opentelemetry.py test_statsd.py test_uplink_dialling.py)

test-file: $(VENV)/dev.stamp  ## run the tests that make rings with the rings in a directory
	directory=$$(mktemp -d -p /dev/shm shmtel-test.XXXXXX); trap 'rm -rf "$$directory"' EXIT; \
	SHMTEL_TEST_DIR=$$directory $(PYTEST) $(SIDE_BY_SIDE) -m "not system" $(WITHOUT_RINGS:%=--ignore %)

test-native:  ## test the core alone under sanitizers, with a C compiler and nothing else
	$(MAKE) -C tests/native -j$$(nproc) check

test-system: $(VENV)/dev.stamp  ## run the tests that need Debian packages (see .ci/debian-packages)
	$(PYTEST) -m system

# Which Pythons, and which tests: the line's own tests take five minutes of each.
PYTHONS ?= 3.11 3.12 3.13 3.14
TESTS ?= tests/unit tests/model tests/native tests/property tests/packaging

# On PATH, or where pyenv or uv keep theirs. A name on PATH proves nothing: pyenv's
# answers that the version is not selected. Free-threaded builds are not supported.
define find_python
	for python in python$$version \
		"$$(pyenv root 2>/dev/null || echo "$$HOME/.pyenv")"/versions/$$version*/bin/python \
		"$$(uv python dir 2>/dev/null || echo "$$HOME/.local/share/uv/python")"/cpython-$$version*/bin/python; do \
		"$$python" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$$version' or 't' in sys.abiflags)" \
			2>/dev/null || continue; \
		echo "$$python"; \
		break; \
	done
endef

test-pythons:  ## run the tests under every Python that is found here; PYTHONS="3.12 3.13" TESTS=tests/unit
	@tested=; failed=; missing=; \
	for version in $(PYTHONS); do \
		python=$$($(find_python)); \
		if [ -z "$$python" ]; then missing+=" $$version"; continue; fi; \
		echo "== Python $$version: $$python"; \
		if $(MAKE) --no-print-directory VENV=$(VENV)-$$version PYTHON="$$python" $(VENV)-$$version/dev.stamp \
			&& $(VENV)-$$version/bin/pytest -q -m "not system" $(TESTS); \
		then tested+=" $$version"; else failed+=" $$version"; fi; \
	done; \
	echo "passed:$${tested:- none}; failed:$${failed:- none}; not found here:$${missing:- none}"; \
	[ -z "$$failed" ] && [ -n "$$tested" ]

stress: $(VENV)/dev.stamp  ## kill workers and collectors at random; SEEDS=20 runs of each kind
	SEEDS=$(or $(SEEDS),20) $(PYTEST) -m stress -s --timeout 1800

# Faults on a full disk take a mount namespace (root, or user namespaces).
chaos: $(VENV)/dev.stamp  ## faults of every kind on the whole line, judged by an oracle; SEED=1 SECONDS=10 SEEDS=200
	cd tests && $(CURDIR)/$(BIN)/python -m support.chaos --seed $(or $(SEED),1) \
		--seeds $(or $(SEEDS),1) --seconds $(or $(SECONDS),10)

control-chaos: $(VENV)/dev.stamp  ## random policies against a model: exact, with restarts, under load; SEEDS=20
	SEEDS=$(or $(SEEDS),20) $(PYTEST) -m stress tests/stress/test_control_chaos.py --timeout 1800

simulation: $(VENV)/dev.stamp  ## the uplink in simulated time, seed after seed; SEEDS=20000, or SEED=7 alone
	SEEDS=$(or $(SEEDS),20000) $(PYTEST) tests/simulation/test_simulation.py --timeout 7200

soak: $(VENV)/dev.stamp  ## a line under load, with workers that come and go, stays flat; SECONDS=1800 RATE=50000
	SOAK_SECONDS=$(or $(SECONDS),1800) SOAK_RATE=$(or $(RATE),50000) $(PYTEST) -s tests/soak/test_soak.py

hub-away: $(VENV)/dev.stamp  ## a hub is away, the spool holds, all arrives afterwards; SECONDS=600 RATE=5000
	SOAK_SECONDS=$(or $(SECONDS),600) SOAK_RATE=$(or $(RATE),5000) $(PYTEST) -s tests/soak/test_hub_away.py

isolation: $(VENV)/dev.stamp  ## handlers that raise and block beside scrapers that hang; SECONDS=30
	BLOCK_SECONDS=$(or $(SECONDS),30) $(PYTEST) tests/e2e/test_hub_isolation.py --timeout 600

model: $(VENV)/dev.stamp  ## the real ring against its executable model, for longer; EXAMPLES=1000
	EXAMPLES=$(or $(EXAMPLES),1000) $(PYTEST) tests/model --timeout 3600

check: lint types native proto-check  ## every check that is not a test

lint: $(VENV)/dev.stamp  ## format, lint, import contracts, spelling
	$(BIN)/ruff format --check
	$(BIN)/clang-format --dry-run --Werror $(C_SOURCES)
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

types: $(VENV)/dev.stamp  ## mypy --strict, and the stub of the C core against the core
	$(BIN)/mypy
	$(BIN)/stubtest --mypy-config-file pyproject.toml shmtel._ring

native: $(VENV)/dev.stamp  ## compile the core with every warning an error, by each compiler here
	@include=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))'); \
	for compiler in gcc clang; do \
		command -v $$compiler >/dev/null || continue; \
		for file in $(C_FILES); do \
			echo "$$compiler $$file"; \
			$$compiler $(C_STRICT) -isystem "$$include" -Ishmtel/csrc -c $$file -o /dev/null; \
		done; \
	done

# A core that watches itself, beside the installed package's Python files. The
# interpreter is not built so: the sanitizers' libraries are loaded before it,
# leaks are not looked for (its own would be found), SIGBUS is left to the tests.
SANITIZED := build/sanitized
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=undefined

sanitize: $(VENV)/dev.stamp  ## run the tests of the core with gcc's address and undefined-behaviour sanitizers
	rm -rf $(SANITIZED)
	CC=gcc CFLAGS="$(SANITIZE) -O1 -g" LDFLAGS="$(SANITIZE)" $(BIN)/python setup.py -q build_ext \
		--build-temp $(SANITIZED)/temp --build-lib $(SANITIZED)/lib
	cp -r shmtel $(SANITIZED)/lib/
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:verify_asan_link_order=0:handle_sigbus=0 \
	PYTHONMALLOC=malloc PYTHONPATH=$(CURDIR)/$(SANITIZED)/lib \
		$(PYTEST) tests/unit/worker tests/unit/core

fuzz: $(VENV)/dev.stamp  ## fuzz by coverage (clang, libclang-rt); SECONDS=600 each, TARGET=consumer|changing|schema|encode|decode
	$(MAKE) -C tests/native PYTHON=$(CURDIR)/$(BIN)/python fuzz

build: $(VENV)/product.stamp  ## build the wheel and the source archive into dist/
	$(BIN)/pip install -q build
	find build -path 'build/lib*' -name '*.py*' -delete 2>/dev/null || true
	$(BIN)/python -m build --quiet --outdir dist .

# protoc knows only the proto's own package; its imports are moved into ours.
define protoc
	$(PROTO_VENV)/bin/python -m grpc_tools.protoc -Iprotos \
		--python_out=$(1) --pyi_out=$(1) protos/shmtel/v1/*.proto
	sed -i 's/^from shmtel\.v1 import/from shmtel.wire.pb.shmtel.v1 import/' $(1)/shmtel/v1/*_pb2.py*
endef

proto: $(PROTO_VENV)/tools.stamp  ## generate the messages from protos/
	$(call protoc,$(PROTO_OUT))

proto-check: $(PROTO_VENV)/tools.stamp  ## compare the committed messages with newly generated ones
	rm -rf build/proto && mkdir -p build/proto
	$(call protoc,build/proto)
	diff -r --exclude=__init__.py --exclude=__pycache__ build/proto $(PROTO_OUT)

format: $(VENV)/dev.stamp  ## rewrite the Python files in the house format
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(C_SOURCES)
	$(BIN)/ruff check --fix-only

bench: $(VENV)/bench.stamp  ## run the benchmarks, each beside its bar; ARGS="--store worker", ARGS=--smoke
	$(BIN)/python benchmarks/run.py $(ARGS)

layout:  ## make docs/reference/layout.md from the header of the ring
	mkdir -p build
	$(PYTHON) docs/make_layout.py > build/layout.md && mv build/layout.md docs/reference/layout.md

events: $(VENV)/dev.stamp  ## make docs/reference/events.md from the catalog
	mkdir -p build
	$(BIN)/python docs/make_events.py > build/events.md && mv build/events.md docs/reference/events.md

dashboard:  ## make deploy/grafana/shmtel.json from the tables of its panels
	mkdir -p build
	$(PYTHON) -B deploy/grafana/make_dashboard.py > build/shmtel.json && mv build/shmtel.json deploy/grafana/shmtel.json

docs: $(VENV)/dev.stamp  ## check that the documents' links and commands exist
	$(PYTEST) tests/docs

clean:  ## remove what this file makes: environments, builds, caches
	rm -rf $(VENV) $(VENV)-3.* $(PROTO_VENV) build dist *.egg-info \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# -- set-up ------------------------------------------------------------------

$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "shmtel needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --upgrade "pip>=25.1" "setuptools>=77"
	touch $@

# build/lib keeps modules that were deleted or renamed, and the wheel would
# hold them; the compiled core may stay, setuptools compares its times.
$(VENV)/product.stamp: $(VENV)/pip.stamp $(SOURCES)
	find build -path 'build/lib*' -name '*.py*' -delete 2>/dev/null || true
	$(BIN)/pip install -q --no-build-isolation ".[all]"
	touch $@

$(VENV)/bench.stamp: $(VENV)/dev.stamp
	$(BIN)/pip install -q --group bench
	touch $@

$(VENV)/tools.stamp: $(VENV)/pip.stamp pyproject.toml
	$(BIN)/pip install -q --group dev
	touch $@

$(PROTO_VENV)/tools.stamp: Makefile
	$(PYTHON) -m venv $(PROTO_VENV)
	$(PROTO_VENV)/bin/pip install -q "$(PROTO_TOOLS)" "setuptools<81"
	touch $@

$(VENV)/dev.stamp: $(VENV)/product.stamp $(VENV)/tools.stamp
	touch $@
