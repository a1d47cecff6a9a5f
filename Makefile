# make demo    set up, then from a Kaggle folder to a trained model and a picture, on the CPU
# make test    set up, then all tests; of kills, damaged files and random examples a tenth
# make test-long  the same with all of them
# make lint    style and types

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test test-long lint format

demo: $(INSTALLED)
	$(BIN)/python -m benchmarks.demo --out demo

test: $(INSTALLED)
	$(BIN)/python -m pytest

test-long: $(INSTALLED)
	SHARDLINE_LONG=1 $(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $@
