# `make demo` and `make test` need Python 3.11 or later and nothing else: each makes .venv and installs what it uses.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/installed
LOWEST_AIOHTTP := $(shell sed -n 's/.*"aiohttp>=\([0-9.]*\).*/\1/p' pyproject.toml)

.PHONY: demo test test-aiohttp test-json test-pythons docs chaos schedulers audit faults columns llms lint types check release-check \
	bench bench-peers clean
.DEFAULT_GOAL := test

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "spotdx_async needs Python 3.11 or later: set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable '.[cli]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --upgrade --target .venv/apm --group apm
	rm -rf .venv/aiohttp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/aiohttp 'aiohttp==$(LOWEST_AIOHTTP)'
	touch $@

# The main job on the bundled fake server: 5,000 kits updated through faults, then compared with the server's ledger.
demo: $(INSTALLED)
	$(BIN)/spotdx demo $(DEMO)

# Two processes share the files of tests; WORKERS=0 runs them in one, which is easier to read and to debug.
WORKERS ?= 2
test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 25 --cov --cov-report=term $(TESTS)

# What depends on aiohttp, in the two ways that `make test` does not go: through its public API alone, as with a release that
# is not known, and with the lowest release that pyproject.toml allows.
ON_AIOHTTP := $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile @tests/on_aiohttp.txt
test-aiohttp: $(INSTALLED)
	SPOTDX_AIOHTTP=public $(ON_AIOHTTP)
	PYTHONPATH=.venv/aiohttp $(ON_AIOHTTP)

# JSON by the standard library, as on a Python that orjson has no wheel for.
test-json: $(INSTALLED)
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -p tests.without_orjson tests/unit/codec tests/unit/requests tests/unit/models

# Some unit tests under each other Python from 3.12 on that is installed, by pyenv too; each has an environment of its own.
test-pythons: $(INSTALLED)
	WORKERS=$(WORKERS) .ci/pythons

# The documentation, into docs/_build; every warning is an error.
docs: $(INSTALLED)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build

# The long test set: 50 kills over 20,000 rows, hundreds of orders under faults, schemathesis against the fake and the
# like, about twenty minutes. SPOTDX_CHAOS_SEED= repeats a run. With haproxy (apt-get install haproxy) beside nginx, rows
# and orders go through it too. Beside the folders, the files that ask tests/long_set.py.
LONG := tests/chaos tests/model tests/contract tests/distributed tests/limits tests/end_to_end/test_creates_end_to_end.py \
	tests/end_to_end/test_adaptive_end_to_end.py tests/end_to_end/test_behind_nginx_and_haproxy.py \
	tests/end_to_end/test_bulk_chance.py tests/end_to_end/test_bulk_order.py \
	tests/end_to_end/test_bulk_partial_outage.py tests/end_to_end/test_bulk_rows_at_fault.py \
	tests/end_to_end/test_cli_create_signals.py tests/matrix/test_create_canaries.py \
	tests/unit/bulk/test_circuit_breaker.py tests/unit/codec/test_codec_properties.py \
	tests/unit/fhir/test_fhir_validity.py tests/unit/tables/test_rows.py tests/unit/files/test_damaged_csv.py \
	tests/unit/files/test_parquet_truth.py tests/unit/mirror tests/end_to_end/test_mirror_end_to_end.py \
	tests/docs/test_example_schedulers.py
chaos: $(INSTALLED) schedulers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	SPOTDX_CHAOS=full $(BIN)/python -m pytest $(LONG) -s --timeout 1800

# The schedulers that there are recipes for, each in a venv of its own: what they pin does not go together.
SCHEDULERS := airflow dagster prefect
schedulers: $(SCHEDULERS:%=.venv/%/installed)
.venv/%/installed: $(INSTALLED)
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --disable-pip-version-check --group $* --editable '.[parquet]'
	touch $@

# Known holes of what is installed, in a venv of its own. It fails where it cannot look a package up: needs a network.
audit: $(INSTALLED)
	test -x .venv/audit/bin/pip-audit || $(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9'
	$(BIN)/python -m pip freeze --exclude-editable > .venv/audit/installed.txt
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement .venv/audit/installed.txt

# Writes the pages that the tables of faults make.
faults: $(INSTALLED)
	$(BIN)/python tests/matrix/page.py --write
	$(BIN)/python tests/matrix/create_page.py --write

# Writes the columns of the tables into their page.
columns: $(INSTALLED)
	$(BIN)/python -m tests.docs.columns_page --write

# Writes the reference on one page, and the list of pages, for language models.
llms: $(INSTALLED)
	$(BIN)/python -m tests.docs.llms_page --write

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

check: test lint types

# Builds the wheel, and installs and uses it in fresh environments: alone, with each extra, and beside pytest; writes its
# SBOM into dist/, and compares that with what was installed. The tests against the wheel under each Python that is there:
# .venv/bin/nox --session tests. Both need a package index.
release-check: $(INSTALLED)
	$(BIN)/nox --session release plugin papers sbom

# Runs all benches, about an hour, and writes benchmarks/results.json, its picture and its table; BENCH=--quick for a look.
# They compare with pydantic and msgspec, which nothing else needs.
bench: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python benchmarks/run_all.py $(BENCH)

# Makes two clients of the vendor's OpenAPI document (PEERS="--spec FILE" names it), then measures ours beside them.
bench-peers: $(INSTALLED)
	$(BIN)/python benchmarks/bench_peers.py $(PEERS)

clean:
	rm -rf .venv .nox benchmarks/peers docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* dist build
