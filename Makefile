# One rule per arrow of the flow. `make reproduce` needs only git, make and python3 (3.11 or newer).
#
#   make reproduce                      the whole study, offline, from the bundled statistics
#   make reproduce TRACE=mine.csv PRICES=prices.csv
#   make verify                         run it afresh and compare every number with the committed ones
#   make archive                        one zip for a repository such as Zenodo
#   make test | smoke | report | lab | bench | clean

PYTHON ?= python3
TRACE  ?= bfcl-2024-08-11
PRICES ?=
JOBS   ?= 2

# The active conda environment made from environment.yml, else a virtual environment of our own.
ifeq ($(CONDA_DEFAULT_ENV),pickllm)
  BIN   := $(CONDA_PREFIX)/bin
  STAMP := $(CONDA_PREFIX)/.pickllm-installed
else
  BIN   := .venv/bin
  STAMP := .venv/.pickllm-installed
endif

.PHONY: env reproduce smoke verify archive report test lab bench data lock clean
.DEFAULT_GOAL := reproduce

env: $(STAMP)

.venv/.pickllm-installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "pickllm needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version 2>&1); set PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x .venv/bin/pip || { rm -rf .venv; $(PYTHON) -m venv .venv; } || { echo "$(PYTHON) -m venv failed; install your system's package for it (Debian: python3-venv)" >&2; exit 2; }
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(CONDA_PREFIX)/.pickllm-installed: environment.yml pyproject.toml
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

reproduce: $(STAMP)
	@$(BIN)/python -m pickllm run study --trace "$(TRACE)" --prices "$(PRICES)" --jobs $(JOBS)

smoke: $(STAMP)
	@$(BIN)/python -m pickllm run study --trace "$(TRACE)" --prices "$(PRICES)" --jobs $(JOBS) --size smoke --force

verify: $(STAMP)
	@$(BIN)/python -m pickllm verify --jobs $(JOBS)

archive: $(STAMP)
	@$(BIN)/python -m pickllm archive

report: reproduce

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

lab: $(STAMP)
	$(BIN)/jupyter lab notebooks/start.ipynb

bench: $(STAMP)
	$(BIN)/python -m pickllm bench

# The shipped statistics, from the measured rows (downloads them once; PICKLLM_MIRROR may name a mirror).
data: $(STAMP)
	$(BIN)/python -m pickllm fetch bfcl-2024-08-11
	$(BIN)/python -m pickllm summarise bfcl-2024-08-11-rows --output data/bfcl-2024-08-11.summary.json
	$(BIN)/python -m pickllm summarise bfcl-2024-08-11-second-rows --output data/bfcl-2024-08-11-second.summary.json

# The lock for every platform and Python version, from pyproject.toml (needs uv).
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras pyproject.toml \
	  --output-file requirements.lock --custom-compile-command "make lock"

clean:
	rm -rf build
