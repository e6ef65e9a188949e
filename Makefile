# Two commands: `make run` opens the dashboard, `make test` runs the tests. Both make the environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?=

.PHONY: run test test-fast check bench demo-heads demo-benchmark clean

run: $(VENV)/.run
	@if [ -n "$(DATA)" ]; then CHARTLIGHT_DATASETS="$(DATA)" $(BIN)/python -m core serve; else $(BIN)/python -m core serve; fi

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not e2e"

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

demo-heads: $(VENV)/.run
	$(BIN)/python -m core train-heads assets/heads/minilm

demo-benchmark: $(VENV)/.run
	$(BIN)/python -m core demo build/demo
	$(BIN)/python -m core embed build/demo --out build/features
	$(BIN)/python -m core benchmark build/demo --features build/features --models minilm,count:lr_lbfgs,count:gbm \
		--shots paper --shots count:gbm=all --ablate context=512,1024,2048,4096 \
		--ablate lookback=1d,1w,1mo,1y,3y --out build/run
	$(BIN)/python assets/benchmark/pack.py build/run

clean: # the environment alone: .chartlight has the audit log and the key of the pseudonyms
	rm -rf $(VENV)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "error: Python 3.11 or newer is needed; try make PYTHON=python3.11 run")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	@echo "Installing what Chartlight runs on (a few minutes the first time) ..."
	$(BIN)/python -m pip install --disable-pip-version-check --no-input -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing the test tools ..."
	$(BIN)/python -m pip install --disable-pip-version-check --no-input -r requirements-dev.txt
	@touch $(VENV)/.run $@
