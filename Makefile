# `make serve` and `make test` work on a fresh clone: they make .venv, install the locked versions and start.
#
# To choose where packages come from (torch's usual build for Linux brings gigabytes of CUDA; the CPU index does not):
#   make serve PIP_INDEX_URL=<index> TORCH_INDEX_URL=<PyTorch's CPU index>
# To pass options on:
#   make serve ARGS="--port 8000 --open"        make test ARGS="-k plan -x"

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# As many test processes as there are cores.
WORKERS ?= auto

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# pip compiles what it installs with one core; all of them are quicker.
INSTALL := $(PIP) install --no-compile
# Templates among the files are no Python; that is no error.
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
SOURCES := videollm train serve tests $(wildcard benchmarks)

# Training asks for the same large blocks in every step: glibc shall keep them instead of having the kernel clear them again.
# The language model took 0.79 instead of 0.94 s a step when this was measured last.
KEEP_MEMORY := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=268435456

.DEFAULT_GOAL := help
.PHONY: help serve test lint format pocket lock clean

help:
	@echo "make serve    chat about videos in the browser"
	@echo "make test     all gates: ruff, mypy, pytest"
	@echo "make lint     ruff and mypy only          make format   let ruff rewrite what it can"
	@echo "make pocket   train the built-in model from nothing (hours)"
	@echo "make lock     refresh the lock files      make clean    remove .venv and everything made"

serve: $(VENV)/installed
	$(BIN)/videollm serve $(ARGS)

test: lint
	$(BIN)/python -m pytest -n $(WORKERS) --durations=25 $(ARGS)

lint: $(VENV)/installed-test
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy --num-workers auto

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

pocket: $(VENV)/installed
	$(KEEP_MEMORY) $(BIN)/videollm train pocket --out runs/pocket $(ARGS)

lock: $(BIN)/python
	$(PIP) install --quiet uv
	.ci/lock $(BIN)/uv $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("videollm needs Python 3.11 or newer: make PYTHON=<path to one>")'
	$(PYTHON) -m venv $(VENV)

# The locked files are complete, so pip resolves nothing; torch comes last and finds what it needs in place.
# setuptools is among the locked, so the project (its version stands in videollm/__init__.py) is built offline.
$(VENV)/installed: requirements.lock requirements-torch.lock pyproject.toml videollm/__init__.py | $(BIN)/python
	$(INSTALL) --no-deps --require-hashes -r requirements.lock
	$(INSTALL) $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) -r requirements-torch.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	$(COMPILE)
	@touch $@

$(VENV)/installed-test: requirements-test.lock $(VENV)/installed
	$(INSTALL) --no-deps --require-hashes -r requirements-test.lock
	$(COMPILE)
	@touch $@
