# One rule per arrow of the flow; `make help` lists them.
# `make reproduce` needs only git, make and python3 (3.11 or newer).

PYTHON ?= python3
TRACE  ?= bfcl-2024-08-11
PRICES ?=
JOBS   ?= 2

# The active conda environment made from environment.yml, else a virtual environment.
ifeq ($(CONDA_DEFAULT_ENV),pickllm)
  BIN   := $(CONDA_PREFIX)/bin
  STAMP := $(CONDA_PREFIX)/.pickllm-installed
else
  BIN   := .venv/bin
  STAMP := .venv/.pickllm-installed
endif

PIP := $(BIN)/pip install --quiet --disable-pip-version-check

.PHONY: help env reproduce smoke verify archive report lab bench
.PHONY: test lint format hooks data lock clean
.DEFAULT_GOAL := reproduce

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

env: $(STAMP) ## the locked environment, which every other rule asks for

.venv/.pickllm-installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pickllm needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1);" \
	    "set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x .venv/bin/pip || { rm -rf .venv; $(PYTHON) -m venv .venv; } || { \
	  echo "$(PYTHON) -m venv failed; install your system's package for it" \
	    "(Debian: python3-venv)" >&2; exit 2; }
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(CONDA_PREFIX)/.pickllm-installed: environment.yml pyproject.toml
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

STUDY = @$(BIN)/python -m pickllm run study --jobs $(JOBS) \
  --trace "$(TRACE)" --prices "$(PRICES)"

reproduce: $(STAMP) ## the whole study, offline (TRACE=mine.csv PRICES=prices.csv)
	$(STUDY)

smoke: $(STAMP) ## the whole study at its smallest size
	$(STUDY) --size smoke --force

verify: $(STAMP) ## run it afresh and compare every number with the committed ones
	@$(BIN)/python -m pickllm verify --jobs $(JOBS)

archive: $(STAMP) ## one zip for a repository such as Zenodo
	@$(BIN)/python -m pickllm archive

report: reproduce ## the same as reproduce; the report is build/report/index.html

test: $(STAMP) ## the tests, on JOBS=2 processes
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

lint: $(STAMP) ## style, imports, spelling and types; changes nothing
	$(BIN)/ruff check --output-format concise
	$(BIN)/ruff format --check
	$(BIN)/deptry .
	$(BIN)/codespell *.md *.toml *.yml Makefile benchmarks data notebooks pickllm tests
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix --exit-zero
	$(BIN)/ruff format

hooks: $(STAMP) ## lint before each commit (pre-commit)
	$(BIN)/pre-commit install

lab: $(STAMP) ## JupyterLab on a start page
	$(BIN)/jupyter lab notebooks/start.ipynb

bench: $(STAMP) ## speed beside C and others; writes the README's table of bounds
	$(BIN)/python -m pickllm bench

# Downloads the rows once; PICKLLM_MIRROR may name a mirror.
data: $(STAMP) ## the shipped statistics, from the measured rows
	$(BIN)/python -m pickllm fetch bfcl-2024-08-11-all
	for pool in bfcl-2024-08-11 bfcl-2024-08-11-second bfcl-2024-08-11-all; do \
	  $(BIN)/python -m pickllm summarise $$pool-rows \
	    --output data/$$pool.summary.json || exit; \
	done
	$(BIN)/python -m pickllm import coderouterbench \
	  --output data/coderouterbench.parquet

lock: ## requirements.lock for every platform and Python, from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --all-extras pyproject.toml --output-file requirements.lock \
	  --custom-compile-command "make lock"

clean: ## remove build/
	rm -rf build
