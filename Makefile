# make lab     set up, then open the lessons in JupyterLab     (ARGS=--no-browser prints the address)
# make test    set up, then run every test                     (ARGS="tests/test_judge.py" runs some)
#
# Both make their environment in .venv and change nothing outside this folder. What else there is:
# make tour    the whole arc in one run, four minutes, and a page about it: tour/report.html
# make build   render the notebooks from their sources and execute the solutions (ARGS=--check: is all current?)
# make check   ruff, mypy, and whether what is rendered is current
# make bench   speed and memory, ours beside others', as ratios from one run
# make test-browser   the widgets in a real JupyterLab in a real browser (needs Chromium)
# make clean   remove the environment and caches; a learner's workbook stays

PYTHON ?= python3
PIP_ARGS ?=
ARGS ?=
BIN := .venv/bin
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
# Learners' own code never decides a test or what is rendered.
REFERENCE := TOKENS_LIB=reference

.PHONY: lab test tour test-browser build check bench clean
.DELETE_ON_ERROR:

lab: .venv/.lab
	@$(BIN)/python -m jupyterlab $(AS_ROOT) $(ARGS) lessons/00_start_here.ipynb

# First what needs one core, on all of them at once; then, one at a time, what is timed.
test: .venv/.dev
ifdef ARGS
	@$(REFERENCE) $(BIN)/python -m pytest $(ARGS)
else
	@failed=0; export $(REFERENCE); \
	$(BIN)/python -m pytest -n logical --dist loadgroup --durations 20 -m "not browser and not all_cores" || failed=1; \
	$(BIN)/python -m pytest -m all_cores || failed=1; \
	exit $$failed
endif

tour: .venv/.lab
	@$(BIN)/python -m lib.course tour $(ARGS)

test-browser: .venv/.dev
	@$(REFERENCE) $(BIN)/python -m pytest -m browser tests/browser $(ARGS)

build: .venv/.dev
	@$(REFERENCE) $(BIN)/python -m lib.course.build $(ARGS)

check: .venv/.dev
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(REFERENCE) $(BIN)/python -m lib.course.build --check

bench: .venv/.dev
	@$(REFERENCE) $(BIN)/python -m tests.bench $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 10) else f"Python 3.10 or newer is needed, {sys.executable} is {v[0]}.{v[1]}: make PYTHON=/path/to/python3")'
	@echo "Making the environment in .venv (once; a few minutes)"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.lab: .venv/bin/python pyproject.toml constraints.txt
	@$(BIN)/python -m pip install -qq $(PIP_ARGS) --constraint constraints.txt --editable '.[lab]'
	@touch $@

.venv/.dev: .venv/bin/python pyproject.toml constraints.txt
	@$(BIN)/python -m pip install -qq $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	@touch $@ .venv/.lab
