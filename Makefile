# `make demo` and `make test` work on a fresh machine with Python 3.11+ and make; nothing else is needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow faults crash-soak audit check docs format clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $(READY)

demo: $(READY)
	$(BIN)/phyt2v refine docs/demo-prompt.txt --rounds 4 --out runs/demo

# A thread for each of two workers. One that dies ends the tests, with its test as a failed one: pytest-xdist 3.8
# may hang if it is replaced (https://github.com/pytest-dev/pytest-xdist/issues/1323).
# Bytecode is written even where the environment (many a Docker image) says not to: else each of hundreds of child
# processes compiles the tool anew.
PYTEST_IN_TWO = env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --max-worker-restart 0

test: $(READY)
	$(PYTEST_IN_TWO) -q --dist loadfile

# One group has all that starts Ray, so that only one starts at a time. Each test is named as it ends.
test-slow: $(READY)
	$(PYTEST_IN_TWO) -v --dist loadgroup --timeout 600 -m 'slow and not gpu'

# Every fault of docs/faults.md (kills, full disks, damage, hostile text) and the number of those survived.
faults: $(READY)
	$(BIN)/python -m pytest -q -p tests.faults.count -m 'not gpu' --timeout 600 -k test_fault_ tests

# Thirty runs on the embedded model, killed at random moments until they are complete; about 25 minutes.
crash-soak: $(READY)
	CRASH_SOAK_RUNS=30 $(BIN)/pytest -q -s -m slow tests/faults/test_embedded.py

# Asks the registry for known holes in the constrained versions; needs a network that reaches its advisories,
# and fails where it does not (--strict), for then nothing was audited.
audit: $(READY)
	$(BIN)/pip install --quiet pip-audit
	$(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/deptry phyt2v_cli training benchmarks docs
	$(BIN)/deptry tests --ignore DEP002,DEP004
	$(BIN)/python docs/make_commands.py --check
	$(BIN)/python -m docs.make_man --check

# The command reference, docs/commands.md, and the man pages, docs/man, from the commands themselves.
docs: $(READY)
	$(BIN)/python docs/make_commands.py
	$(BIN)/python -m docs.make_man

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist runs batches calibrations .pytest_cache .mypy_cache .ruff_cache .hypothesis
