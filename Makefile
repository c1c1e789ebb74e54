# One word does a whole job, on a fresh machine too:
#
#   make lab         open a working copy of the labs in JupyterLab
#   make self-study  the same, with model answers to open after your own
#   make grade       grade a small sample class, print its table and the path of its report
#   make test        run the tests
#
# Python 3.11 or newer is all that must be there. PYTHON=python3.12 picks another; TORCH=cpu takes
# PyTorch's build without CUDA, which on Linux saves several gigabytes.

PYTHON ?= python3
# Notebooks graded and tests run at once.
# (GNU nproc obeys the variables that limit OpenMP, which each of them sets for itself.)
WORKERS ?= $(shell env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc 2> /dev/null || sysctl -n hw.ncpu 2> /dev/null || echo 2)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help setup lab self-study grade zoo test test-all test-fast lint check build pins results site student-copy

help:
	@echo "make setup          install what is needed into .venv/; every target below does so at first"
	@echo "make lab            open a working copy of the labs in JupyterLab (in my_labs/)"
# A student copy has no solutions/, and nothing to do for an author.
ifneq ($(wildcard solutions),)
	@echo "make self-study     the same, with model answers to written questions and stars folded in"
	@echo "make grade          grade a small sample class (2 to 3 minutes on two cores)"
	@echo "make zoo            grade all sample submissions (the zoo), compare every verdict (under 10 minutes)"
	@echo "make test           run the tests (about 12 minutes on two cores)"
	@echo "make test-all       run the cases, too, that make test leaves out of the dearest tests (15 minutes)"
	@echo "make test-fast      run the tests that take seconds (2 minutes)"
	@echo "make lint           check the style of the code"
	@echo "make check          say whether anything that is committed is stale or leaks"
	@echo "make build          rebuild labs/ and solutions/ from the sources (for authors)"
	@echo "make pins           ask PyPI whether requirements.txt fits each supported Python (minutes)"
	@echo "make results        measure what is missing in benchmarks/RESULTS.md (hours, once)"
	@echo "make site           build a web site from the guides and the released labs, in build/site/"
	@echo "make student-copy   write what students may have into build/student_copy/ (or TO=folder)"
endif
	@echo "On Linux and WSL, add TORCH=cpu the first time: it saves gigabytes of CUDA libraries."

setup: $(READY)

# Each step leaves a mark when it is done, so that a set-up which was interrupted goes on after it.
NOW := $(shell date +%s)
GO_ON = echo "Set-up stopped at this step. Correct what is named above and type the same command again: it continues from here."; exit 1
NO_CPU_BUILD = TORCH=cpu fetches PyTorch from PyTorch's own download site. Where only PyPI (or a mirror of it) can be reached, leave TORCH=cpu out.
PIP = $(BIN)/python -m pip --disable-pip-version-check

$(VENV)/made:
	@echo "== Set-up, step 1 of 3: a Python environment in $(VENV) =="
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; this is $$($(PYTHON) --version). Try: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Python cannot make virtual environments here."; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
			echo "Installing python3-venv ..."; \
			apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv --clear $(VENV); \
		else echo "Install it (Debian, Ubuntu: sudo apt-get install python3-venv) and try again."; exit 1; fi; } || \
		{ $(GO_ON); }
	@touch $@

$(VENV)/packages: requirements.txt | $(VENV)/made
	@echo "== Set-up, step 2 of 3: the packages, about 3 minutes and 2 GB, silent meanwhile =="
ifeq ($(TORCH),cpu)
	@# uv knows where PyTorch's builds without CUDA are, and takes only torch from there.
	@{ $(PIP) install --quiet uv && \
		$(BIN)/uv pip install --python $(BIN)/python --torch-backend cpu -r requirements.txt; } || \
		{ echo "$(NO_CPU_BUILD)"; $(GO_ON); }
else
	@[ "$$(uname -s)" != Linux ] || echo "On Linux, torch may bring several gigabytes of CUDA libraries (Ctrl-C, then make TORCH=cpu ... avoids that)."
	@$(PIP) install --quiet -r requirements.txt || { $(GO_ON); }
endif
	@touch $@

$(READY): $(VENV)/packages pyproject.toml
	@echo "== Set-up, step 3 of 3: the course's own library, and the sandbox for grading =="
	@$(PIP) install --quiet --no-deps --no-build-isolation -e . || { $(GO_ON); }
	@# Never a reason to stop: only the grading of other people's work needs it.
	@command -v bwrap > /dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
			echo "Installing bubblewrap, in which submissions run ..."; \
			{ apt-get update -qq && apt-get install -y -qq bubblewrap; } > /dev/null 2>&1; \
		fi; }; command -v bwrap > /dev/null || \
		echo "To grade other people's work, install bubblewrap (Debian, Ubuntu: sudo apt-get install bubblewrap; Fedora: sudo dnf install bubblewrap)."
	@echo "Set up in $$(( $$(date +%s) - $(NOW) )) seconds."
	@touch $@

grade: $(READY)
	@echo "== Grading the sample class =="
	@$(BIN)/python -m autograder sample --workers $(WORKERS)

zoo: $(READY)
	@echo "== Grading the whole zoo =="
	@$(BIN)/python -m autograder sample --all --workers $(WORKERS)

lab: $(READY)
	@$(BIN)/python -m autograder workspace $(ANSWERS)
	@echo "== Opening JupyterLab; Ctrl-C here ends it =="
	@$(BIN)/python -m jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root) --ServerApp.root_dir=my_labs \
		--LabApp.default_url=/lab/tree/start.ipynb

self-study: ANSWERS = --answers
self-study: lab

lint: $(READY)
	@echo "== Style =="
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

check: $(READY)
	@echo "== Are labs/ and solutions/ what their sources say? =="
	@$(BIN)/python -m autograder build --check

build: $(READY)
	@$(BIN)/python -m autograder build

# pip asks for wheels only and installs nothing, so no other interpreter has to be there.
pins: $(READY)
	@for version in 3.11 3.12 3.13 3.14; do \
		echo "== Does every pinned package have a wheel for Python $$version? =="; \
		$(PIP) install --quiet --dry-run --ignore-installed --no-deps --only-binary=:all: \
			--python-version $$version --target $(VENV)/none -r requirements.txt || exit 1; echo "Yes."; \
	done

results: $(READY)
	@$(BIN)/python -m benchmarks.results

site: $(READY)
	@$(BIN)/python -m autograder site

student-copy: $(READY)
	@$(BIN)/python -m autograder student-copy $(if $(TO),--to "$(TO)")

# One thread a worker: two workers with two threads each get in each other's way. One worker more
# than cores, since many tests wait: for limits that end something, for processes that start.
# Bytecode is kept, also where the environment says otherwise: it is a third of the start.
PYTEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $$(($(WORKERS) + 1)) \
	--dist loadfile --no-loadscope-reorder

test: lint check
	@echo "== Tests =="
	@$(PYTEST)

test-all: lint check
	@echo "== Tests, all cases =="
	@$(PYTEST) --all-cases

test-fast: lint
	@echo "== Fast tests =="
	@$(PYTEST) -m "not slow"
