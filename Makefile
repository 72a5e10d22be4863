# Serinus: every target installs what it needs, into .venv or with the system's packages.
#
#   make demo    the whole story on this machine       make test    all tests, both coverage floors
#   make serve   run the server                        make check   format, lint, types, imports, docs
#   make lock    choose newer dependencies             make clean   remove what these targets made
#   make docs    write docs/cli.md from the help texts
#   make bench   measure what is promised (benchmarks/README.md)
#   make examples    build, publish, update and break every example (examples/README.md)
#   make judge-e2e   2,000 virtual installs against a real server and judge
#   make screenshots   take the pictures of the pages anew
#   make crash-agent   kill, starve and cut the power of an install at every step of an update
#
# ARGS passes arguments on: make demo ARGS="--headless --json", make test ARGS="-k pull -x".

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# What must be covered to the last branch: code that decides, verifies or judges.
EXACT := rollout/*,signing/*,client_agent/machine/*,update_server/crashes/*,update_server/evidence/*,update_server/rehearsal/*,update_server/web/dashboard/charts/*

# Settings of the caller's own Python and pip must not reach this project's.
unexport PYTHONHOME PYTHONPATH PYTHONOPTIMIZE PYTHONSTARTUP PYTHONWARNINGS PIP_PREFIX PIP_TARGET PIP_USER
# Without bytecode every worker of a test run, and all that it starts, compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo serve test check docs screenshots bench bench-evidence bench-agent bench-ingest bench-dashboard judge-e2e crash-agent examples lock clean postgres chromium strace promtool example-tools

demo: $(STAMP)
	@$(BIN)/serinus demo $(ARGS)

serve: $(STAMP)
	@$(BIN)/serinus serve $(ARGS)

# Two workers more than cores, for many tests wait; each begins with a part of its own, so that what
# fixtures make is made once. The two reports are the two floors.
test: $(STAMP) postgres chromium strace promtool example-tools
	@rm -f .coverage .coverage.*
	@$(BIN)/pytest -q -n $$(($$(nproc) + 2)) --dist loadgroup --cov --cov-report= --cov-fail-under=0 $(ARGS)
	@$(BIN)/coverage report
	@$(BIN)/coverage report --include='$(EXACT)' --fail-under=100

check: $(STAMP)
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/ruff check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --no-cache
	@$(if $(wildcard tests/test_docs.py),$(BIN)/pytest -q tests/test_docs.py)

# JSON lines on stdout, progress on stderr; it fails when a number misses its limit.
bench: bench-evidence bench-agent bench-ingest bench-dashboard

bench-evidence: $(STAMP)
	@$(BIN)/python -m benchmarks.evidence $(ARGS)

# The first time it downloads releases of real programs into the user's cache.
bench-agent: $(STAMP)
	@$(BIN)/python -m benchmarks.agent $(ARGS)

# Half a minute. TMPDIR says on which disk.
bench-ingest: $(STAMP)
	@$(BIN)/python -m benchmarks.ingest $(ARGS)

# Minutes, and 8 GB in TMPDIR, removed after: a store of ten million installs.
bench-dashboard: $(STAMP)
	@$(BIN)/python -m benchmarks.dashboard $(ARGS)

# The full size of tests/judging, where time is real: nothing else should run meanwhile.
judge-e2e: $(STAMP)
	@$(BIN)/pytest -q tests/judging/full_size.py $(ARGS)

# JSON lines as above. As root it also fills disks and cuts the power; a sample is part of `test`.
crash-agent: $(STAMP) strace
	@$(BIN)/python -m tests.crash $(ARGS)

# Minutes: one of them is frozen three times.
examples: $(STAMP) example-tools
	@$(BIN)/pytest -q tests/examples/test_*.py tests/examples/full_size.py $(ARGS)

# The pictures of the pages in README and docs, from a demo that runs meanwhile.
screenshots: $(STAMP) chromium
	@$(BIN)/python -m tests.dashboard.screenshots $(ARGS)

# The copy of the help texts; `check` compares it.
docs: $(STAMP)
	@$(BIN)/python -m tests.cli_reference

# uv resolves for every platform and Python at once; nothing else here uses it. Extras stay in the
# lock: a pip before 23.3 would look for coverage[toml] beside the pinned coverage, and find a newer one.
lock:
	@scripts/venv '$(PYTHON)' $(VENV)/lock
	@$(VENV)/lock/bin/pip install --quiet uv
	@$(VENV)/lock/bin/uv pip compile pyproject.toml --all-extras --group build --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --upgrade --quiet \
	    --custom-compile-command 'make lock' --output-file requirements.lock

clean:
	@rm -rf $(VENV) .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

# Standard output belongs to the target that was asked for (demo --json): these talk on stderr.
$(STAMP): requirements.lock pyproject.toml scripts/venv
	@echo 'serinus: installing into $(VENV)' >&2
	@scripts/venv '$(PYTHON)' $(VENV) >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . >&2
	@touch $@

postgres:
	@scripts/postgres >&2

chromium:
	@scripts/chromium >&2

example-tools: $(STAMP)
	@scripts/example-tools '$(BIN)/python' >&2

# Where it cannot be had, tests that need it are skipped, and say so.
strace:
	@scripts/strace >&2 || true

promtool: $(STAMP)
	@scripts/promtool $(BIN) >&2 || true
