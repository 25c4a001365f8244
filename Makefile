# Everything a developer or a build machine does with this repository.
#
# Nothing has to be installed by hand but Python 3.11+ and make: `setup` builds the virtual
# environment from the lock file, and the other targets call it. Steps that are up to date are
# skipped, so every target is cheap to repeat.
#
#   VENV=DIR      another environment than .venv (a second one beside `make dev`'s, say)
#   PYTHON=EXE    the interpreter to build it from
#   ARGS='...'    passed on: make test ARGS='-k lease', make demo ARGS='--seconds 30'
#   JOBS=1        the parts of make test one after another

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := help

VENV ?= .venv
PYTHON ?=
ARGS ?=

BIN := $(VENV)/bin
PIP_OF := bin/python -m pip --quiet --disable-pip-version-check --no-input
PIP := $(VENV)/$(PIP_OF)
# Nothing that runs from the environment may pick up modules from elsewhere.
unexport PYTHONPATH PYTHONHOME

# Stamps say what was done last; a newer input makes the step run again. A directory's time
# changes with its entries, so that a removed file is noticed too.
DEPENDENCIES := $(VENV)/.dependencies
WHEEL := $(VENV)/.wheel
EDITABLE := $(VENV)/.editable
WHEEL_BUILT := build/wheel/.built
SOURCES := pyproject.toml README.md LICENSE $(shell find \
	service clients/python protos/python spark_bridge/python \
	-name __pycache__ -prune -o -name '*_cache' -prune -o -name jars -prune -o -print)

# The jars of the Spark bridge are built into the package that the wheel takes them from.
JARS := spark_bridge/python/uwfq_spark/jars
JARS_BUILT := $(JARS)/.built
JVM := spark_bridge/jvm
JVM_SOURCES := $(shell find $(JVM) protos/uwfq -name target -prune -o -print)
MVN := cd $(JVM) && mvn --quiet --batch-mode --no-transfer-progress
# Where the jars could not be built, build-jars has said so (or failed: CI=true).
IF_JVM := if [ -e $(JARS_BUILT) ]; then set -x;

# Spark 3.5 beside the 4.x of the lock file, for the bridge's tests.  Its Connect server is a jar of
# its own; the release need not be PySpark's to the last digit, and not each one is to be had.
SPARK35 := .venv-spark35
CONNECT35 := org.apache.spark:spark-connect_2.12:3.5.7
COPY_JAR := org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy

# With these the many JVMs of the tests start in two thirds of the time.
SPARK_CLASSES := $(VENV)/spark-classes.jsa $(SPARK35)/spark-classes.jsa

# The clients in other languages, each with a Makefile of its own, whose steps are not made to run side
# by side.  Make takes a path with spaces for several, so an absolute one stands in quotes, and no
# function of make sees it again.
CLIENTS := go java node
FROM_CLIENT := $(if $(filter /%,$(VENV)),,../../)
AT_CLIENTS = unset MAKEFLAGS; clients=$$(clients/testable $(CLIENTS)); for client in $$clients; do \
	$(MAKE) --no-print-directory -C clients/$$client \
	BUF='$(FROM_CLIENT)$(BIN)/buf' UWFQ_COMMAND='$(abspath $(BIN))/uwfq'

# The parts of `make test`.  JOBS of them run side by side, for each leaves some of two cores idle: what
# is installed and lint, the other languages' beside what computes on one core and looks at no clock,
# and then real processes.
CORE_TESTS := tests/unit tests/property tests/store tests/scenarios
SPARK_TESTS := tests/spark tests/e2e/spark
ifeq ($(strip $(ARGS)),)
TEST_FIRST := test-jvm test-core test-clients
TEST_THEN := test-spark test-others
else
# Python's in one run: what ARGS selects may be but one test.
TEST_FIRST := test-jvm test-clients
TEST_THEN := test-python
endif
JOBS ?= 2
# What a part has printed so far; of one that has passed there is nothing left.
UNFINISHED := build/unfinished-tests
SIDE_BY_SIDE = @$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync --keep-going
OR_SAY_WHICH = || { echo "error: not passed: $$(cd $(UNFINISHED) && echo *) (see above)" >&2; exit 1; }
# A line with a + is shown at once, all others of a part together when it has ended.
LOG = $(UNFINISHED)/$@
BEGIN = @touch $(LOG); echo "$@ begins: shown when it has ended, and until then in $(LOG)"
KEPT = 2>&1 | tee $(LOG)
END = @rm $(LOG)

.PHONY: help setup dev jars spark35 gen lint test demo spark-demo bench load lock proto-image clean \
	test-jvm test-clients test-core test-spark test-others test-python

help: ## Show what can be made
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'
	@echo; sed -n 's/^#   \([A-Z]*=\)/  \1/p' Makefile

setup: $(WHEEL) ## Build .venv from the lock file and install the built wheel

dev: $(DEPENDENCIES) ## Install the checkout in editable form instead: edits show at once
	@rm -f $(WHEEL)
	@touch $(EDITABLE)
	@echo 'installing the checkout in editable form'
	@$(PIP) install --no-deps --no-build-isolation --no-index --force-reinstall --editable .

# PYTHON, or the first interpreter on PATH that is new enough (a version manager's may not start).
$(DEPENDENCIES): requirements.lock
	@if ! [ -x $(BIN)/python ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		for python in $(or $(PYTHON),python3.11 python3 python3.12 python3.13 python3.14); do \
			"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
			python=; \
		done; \
		if [ -z "$$python" ]; then \
			echo 'error: UWFQ needs Python 3.11 or newer (make PYTHON=/path/to/python3.11)' >&2; exit 1; \
		fi; \
		echo "creating $(VENV) with $$python"; \
		rm -rf $(VENV); \
		if ! "$$python" -m venv $(VENV); then \
			rm -rf $(VENV); \
			echo 'error: Python cannot create a virtual environment (on Debian: install python3-venv)' >&2; \
			exit 1; \
		fi; \
	fi
	@echo 'installing dependencies from requirements.lock'
	@$(PIP) install --require-hashes --requirement requirements.lock
	@touch $@

$(WHEEL): $(DEPENDENCIES) $(WHEEL_BUILT)
	@if [ -e $(EDITABLE) ]; then \
		echo 'replacing the editable install; `make dev` brings it back'; rm $(EDITABLE); fi
	@echo 'installing the wheel'
	@$(PIP) install --no-deps --no-index --force-reinstall build/wheel/uwfq-*.whl
	@touch $@

$(WHEEL_BUILT): $(DEPENDENCIES) $(SOURCES) $(JARS_BUILT)
	@echo 'building the wheel'
	@rm -rf build/wheel
	@$(PIP) wheel --no-deps --no-build-isolation --no-index --wheel-dir build/wheel .
	@touch $@

jars: $(JARS_BUILT) ## Build the Spark bridge's jars (needs Maven and a JDK 17)

# Without Maven no stamp is written: the warning comes back each time.
$(JARS_BUILT): $(JVM_SOURCES)
	@$(JVM)/build-jars $(JARS)

spark35: $(SPARK35)/.wheel ## Build .venv-spark35: PySpark 3.5 and the wheel, for tests

$(SPARK35)/.wheel: $(WHEEL_BUILT) tests/spark/requirements-3.5.txt
	@echo 'building $(SPARK35) from tests/spark/requirements-3.5.txt'
	@[ -x $(SPARK35)/bin/python ] || $(BIN)/python -m venv $(SPARK35)
	@$(SPARK35)/$(PIP_OF) install --require-hashes --requirement tests/spark/requirements-3.5.txt
	@$(SPARK35)/$(PIP_OF) install --no-deps --no-index --force-reinstall build/wheel/uwfq-*.whl
	@$(IF_JVM) $(MVN) --non-recursive $(COPY_JAR) -Dartifact=$(CONNECT35) \
		-DoutputDirectory="$$(echo '$(abspath $(SPARK35))'/lib/python*/site-packages/pyspark/jars)"; fi
	@touch $@

$(VENV)/spark-classes.jsa: $(DEPENDENCIES)
$(SPARK35)/spark-classes.jsa: tests/spark/requirements-3.5.txt | $(SPARK35)/.wheel
$(SPARK_CLASSES): tests/spark/class_archive.py | $(JARS_BUILT)
	@$(IF_JVM) rm -f $@ && SPARK_LOCAL_IP=127.0.0.1 $(@D)/bin/python $< $@; fi

gen: $(DEPENDENCIES) ## Regenerate the stubs of all languages from protos/
	$(BIN)/python protos/generate.py
	$(AT_CLIENTS) gen; done

lint: setup ## Format, lint, types, import contracts, protos, stubs, lock file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/buf lint protos
	$(BIN)/buf breaking protos --against protos/released.binpb
	$(BIN)/python protos/generate.py --check
	$(BIN)/python .ci/check_lock.py
	@$(IF_JVM) $(MVN) spotless:check; fi
	$(AT_CLIENTS) lint gen-check; done

test: ## Lint, then every test, against the installed wheel
	@$(MAKE) --no-print-directory --jobs=$(JOBS) --output-sync=line lint spark35 $(SPARK_CLASSES)
	$(AT_CLIENTS) adapter; done
	@rm -rf $(UNFINISHED) && mkdir -p $(UNFINISHED)
	$(SIDE_BY_SIDE) $(TEST_FIRST) $(OR_SAY_WHICH)
	$(SIDE_BY_SIDE) $(TEST_THEN) $(OR_SAY_WHICH)

# What the plugin logs in its tests, troubles on purpose, is in $(JVM)/*/target/surefire-reports.
test-jvm:
	+$(BEGIN)
	@$(IF_JVM) $(MVN) verify --fail-at-end -Duwfq.shade.skip=true \
		-Duwfq.command='$(abspath $(BIN))/uwfq' -Dmaven.test.redirectTestOutputToFile=true; fi $(KEPT)
	$(END)

test-clients:
	+$(BEGIN)
	$(AT_CLIENTS) test; done $(KEPT)
	$(END)

test-core:
	+$(BEGIN)
	$(BIN)/python -m pytest $(CORE_TESTS) $(KEPT)
	$(END)

test-spark:
	+$(BEGIN)
	$(BIN)/python -m pytest $(SPARK_TESTS) $(KEPT)
	$(END)

# All that no other part has, so that a new folder is not left out.
test-others:
	+$(BEGIN)
	$(BIN)/python -m pytest tests $(addprefix --ignore=,$(CORE_TESTS) $(SPARK_TESTS)) $(KEPT)
	$(END)

test-python:
	+$(BEGIN)
	$(BIN)/python -m pytest $(ARGS) $(KEPT)
	$(END)

demo: setup ## Watch three users share the service, under three policies
	$(BIN)/uwfq demo $(ARGS)

spark-demo: setup jars ## Compare stock Spark's schedulers with the bridge, in two minutes
	$(BIN)/python -m spark_bridge.demo $(ARGS)

bench: setup ## Cost per decision in the core, throughput over loopback
	@for script in tests/bench/bench_*.py; do \
		echo "== $$script"; $(BIN)/python -m tests.bench.$$(basename "$$script" .py) $(ARGS); done

load: setup ## Load tests with ghz against a no-op server, in about eight minutes (needs Go)
	$(BIN)/python -m tests.load $(ARGS)

RESOLVE = uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --quiet

lock: ## Resolve the dependencies anew into the two lock files (needs uv)
	$(RESOLVE) --upgrade --extra demo --extra simulate --group dev --output-file requirements.lock
	$(RESOLVE) --upgrade --constraint requirements.lock --output-file deploy/requirements.lock
	$(RESOLVE) --upgrade --constraint deploy/requirements.lock tests/spark/requirements-3.5.in \
		--output-file tests/spark/requirements-3.5.txt

proto-image: $(DEPENDENCIES) ## Record protos/ as released: what later changes must not break
	$(BIN)/buf build protos --exclude-source-info --output protos/released.binpb

clean: ## Remove the environment, caches and what the demo and the service left
	rm -rf $(VENV) $(SPARK35) $(JARS) $(JVM)/target $(JVM)/*/target clients/java/target clients/node/node_modules \
		clients/node/dist clients/node/build dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache uwfq-data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
