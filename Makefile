# Every target sets up what it needs; nothing but Python 3.11 to 3.13 and make has to be there before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait for processes and sockets: more of them than cores pay.
TEST_PROCESSES ?= 4
# Each of them keeps as many daemons busy as there are cores.
PROVE_PROCESSES ?= 3
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test check prove soak bench bench-checks bench-gl bench-memory fuzz pages deb test-packaging format clean

demo: $(VENV)/.run  ## a month-end in miniature against the simulator
	$(BIN)/revsyncd demo

# A process that was killed while it wrote its coverage leaves a torn file, which can't be combined.
test: $(VENV)/.dev  ## every test, with branch coverage
	trap 'rm -f .coverage.*' EXIT INT TERM; $(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --cov --cov-report=term

soak: $(VENV)/.dev  ## random lives, with kills at any call: make soak MINUTES=10 SEED=1
	PYTHONPATH=tests:. $(BIN)/python -m lives.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(SOAK)

check: $(VENV)/.dev  ## lint, format and types; how exposed the service is
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python packages/exposure.py

prove: $(VENV)/.dev  ## the whole reliability bench, its table, and its page in docs/ (less than half an hour)
	PYTHONPATH=tests:. $(BIN)/python -m prove.report
	REVSYNCD_TEST_NO_SKIPS=1 REVSYNCD_PROVE_REPORT=docs/reliability.md $(BIN)/python -m pytest \
		-m "prove or prove_full" --numprocesses=$(PROVE_PROCESSES) --dist=load --maxschedchunk=1

bench: $(VENV)/.run  ## what the daemon costs and how fast it is, on this machine
	$(BIN)/python benchmarks/daemon.py

bench-gl: $(VENV)/.run  ## a million lines of the general ledger through each source
	$(BIN)/python benchmarks/gl.py

bench-memory: $(VENV)/.run  ## whether the idle daemon grows with the files that it has carried
	$(BIN)/python benchmarks/memory.py

bench-checks: $(VENV)/.run  ## how fast the checks are, next to others (pip install '.[bench]' for more of them)
	$(BIN)/python benchmarks/checks.py

fuzz: $(VENV)/.dev  ## the checks against a plain character machine, and against hostile files of 1 GB
	$(BIN)/python benchmarks/fuzz.py
	$(BIN)/python benchmarks/checks.py --hostile

deb: $(VENV)/.dev  ## the Debian package, in dist/
	$(BIN)/python packages/deb.py

test-packaging: $(VENV)/.dev  ## boots a clean Debian and installs the package there (root; about three minutes)
	$(BIN)/python -m pytest tests/packaging -m packaging

pages: $(VENV)/.dev  ## the man page and the completions, from the commands
	$(BIN)/python packages/pages.py

format: $(VENV)/.dev  ## put every file into the one format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "revsyncd needs Python 3.11 to 3.13: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $(VENV)/.run $@

clean:
	rm -rf $(VENV) dist build .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
