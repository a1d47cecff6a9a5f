# make demo    set up with the extra demo, then from a Kaggle folder to a trained model and a picture,
#              on the CPU
# make test    set up with the extra dev, then all tests; of kills, damaged files and random examples a tenth
# make test-long  the same with all of them
# make wheel   the package for other environments, dist/shardline-VERSION-py3-none-any.whl
# make lint    style and types

PYTHON ?= python3
BIN := .venv/bin
# Two processes share the test files: many tests wait for ranks and disks.
IN_TWO := --numprocesses 2 --dist loadfile

.PHONY: demo test test-long wheel lint format

demo: .venv/demo
	$(BIN)/python -m benchmarks.demo --out demo

test: .venv/dev
	$(BIN)/python -m pytest $(IN_TWO)

test-long: .venv/dev
	SHARDLINE_LONG=1 $(BIN)/python -m pytest $(IN_TWO)

# setuptools would pack what an earlier build left in build/.
wheel:
	rm -rf build dist/shardline-*.whl
	$(PYTHON) -m venv build/venv
	build/venv/bin/python -m pip wheel --no-deps --wheel-dir dist .
	rm -rf build

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The stamp of each extra. dev has what demo has, and goes on top of it.
.venv/dev: .venv/demo
.venv/demo .venv/dev: .venv/%: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$*]'
	touch $@
