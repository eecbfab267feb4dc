# make demo, make test: build .venv if it is missing, then do their job. Nothing else is needed.
PYTHON ?= python3
VENV ?= .venv
LOCK ?= requirements.lock
BIN = $(VENV)/bin
READY = $(VENV)/installed-$(LOCK)
UPSTREAM = VENV=.venv-upstream LOCK=requirements-upstream.lock

.PHONY: demo test test-all test-upstream check docs format bench torture mutate lock clean

demo: $(READY)
	PATH="$(abspath $(BIN)):$$PATH" bash tools/demo.sh

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n 2

test-all: $(READY)
	$(BIN)/python -m pytest

test-upstream:
	$(MAKE) $(UPSTREAM) test

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory docs

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python docs/checks/site.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/run_all.py

torture: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/torture/run_all.py

# about an hour; run again it goes on; MUTANTS=mammo/patients.py takes some
mutate: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/torture/mutation/run.py $(MUTANTS)

# the second pass: where PYTHONDONTWRITEBYTECODE is set pip may leave no bytecode, and each start takes twice as long
$(READY): $(LOCK)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r $(LOCK)
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true
	touch $@

# torch and torchvision must be a pair of one build, see DESIGN
lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	printf 'torch==2.12.1\ntorchvision==0.27.1\n' > $(VENV)/pair.txt
	$(BIN)/uv pip compile requirements.txt requirements-dev.txt -c $(VENV)/pair.txt $(LOCK_OPTIONS) -o requirements.lock
	sed 's/^onedl-//; s/^mmcv>/mmcv-lite>/; s/^\(mmengine\)>.*/\1==0.10.7/; s/^\(mmcv-lite\)>.*/\1==2.2.0/; s/^\(mmpretrain\)>.*/\1==1.2.0/' \
	    requirements.txt > $(VENV)/upstream.txt
	$(BIN)/uv pip compile $(VENV)/upstream.txt requirements-dev.txt -c $(VENV)/pair.txt $(LOCK_OPTIONS) -o requirements-upstream.lock
LOCK_OPTIONS = --universal --python-version 3.11 --no-annotate --no-header --quiet

clean:
	rm -rf demo site .venv .venv-upstream
