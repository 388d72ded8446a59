# `make` alone lists the targets. Everything is installed into .venv; nothing outside this folder is touched.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
# pytest worker processes, each of which takes whole files; 0 runs the tests in one process. They are taken in their own
# order: by default the files with the fewest tests come last, and those are the longest.
TEST_JOBS ?= 2
# Threads of each worker's numerical libraries: its share of the cores. Workers that each take all cores wait for one
# another, which costs a quarter more processor time.
TEST_THREADS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); \
	jobs=$(or $(filter-out 0 auto logical,$(TEST_JOBS)),1); echo $$((cores > jobs ? cores / jobs : 1)))
# Arguments for pytest, as in `make test TEST_ARGS=tests/house`; what needs a browser is `make test-page`.
TEST_ARGS ?= -m "not browser"

VENV := .venv
PY := $(VENV)/bin/python
# -qq: errors only; `pip check` afterwards says whether what was installed fits together.
PIP := $(PY) -m pip -qq --disable-pip-version-check
INSTALLED := $(VENV)/.installed
# Folders are listed beside the files: removing a module changes only the folder.
SOURCES := $(shell find __init__.py py.typed state prompts tools agent evals \
	-not -path '*__pycache__*' 2>/dev/null)

# Whoever set PYTHONPATH may have this tree on it; what runs here is what was installed.
unexport PYTHONPATH

.PHONY: help demo test test-page coverage check wheel install clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

demo: install ## install into .venv and run `recryst demo`
	@$(VENV)/bin/recryst demo

test: install ## run the tests against the installed package
	@OMP_NUM_THREADS=$(TEST_THREADS) \
		$(PY) -P -m pytest -q -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(TEST_ARGS)

test-page: install ## the tests of the page in Chromium, which is installed where that can be done
	@there() { command -v chromium || command -v chromium-browser; }; \
	if ! there >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } \
			>/dev/null || true; \
	fi; \
	there >/dev/null || echo "There is no Chromium, so that these tests skip: as root, apt-get install chromium" >&2
	@OMP_NUM_THREADS=$(TEST_THREADS) $(PY) -P -m pytest -q -rs -m browser tests/agent/page

coverage: install ## the tests once more, with the statements of agent/ and tools/ that they reach
	@OMP_NUM_THREADS=$(TEST_THREADS) \
		$(PY) -P -m pytest -q -n $(TEST_JOBS) --dist loadfile --no-loadscope-reorder $(TEST_ARGS) \
		--cov recryst.agent --cov recryst.tools --cov-report term:skip-covered

check: install ## ruff and mypy
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@# mypy checks the installed package, from inside .venv, and its paths are turned back into the tree's: in this
	@# folder it would take the root's __init__.py for a package of the folder's name.
	@cd $(VENV) && bin/mypy --config-file ../pyproject.toml --cache-dir ../.mypy_cache -p recryst \
		| sed 's|^lib/.*/site-packages/recryst/||'

install: $(INSTALLED) ## install or refresh .venv

wheel: $(VENV)/.created ## build the wheel into dist/
	@# setuptools packs whatever an earlier build left in build/, deleted modules included.
	@rm -rf build dist recryst.egg-info
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@rm -rf build recryst.egg-info

clean: ## remove .venv and everything built
	@rm -rf $(VENV) build dist recryst.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created: constraints.txt
	@python=; for name in "$(PYTHON)" python3; do \
		if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Recryst needs Python 3.11 or newer, and neither $(PYTHON) nor python3 is one: name yours with make PYTHON=/path/to/python." >&2; \
		exit 1; \
	fi; \
	"$$python" -m venv $(VENV)
	@$(PIP) install --constraint constraints.txt setuptools
	@touch $@

# The dependencies are installed again only when their lists change; a changed source costs one wheel.
$(INSTALLED): constraints.txt pyproject.toml $(SOURCES) | $(VENV)/.created
	@$(MAKE) wheel
	@if [ -n "$(filter constraints.txt pyproject.toml,$?)" ]; then \
		echo "Installing Recryst and what it needs into $(VENV): some minutes, and a few GB on disk."; \
		$(PIP) install --constraint constraints.txt "$$(echo dist/*.whl)[dev,extract,hf,llm,lora,mcp,page,scrub]"; \
		$(PIP) check; \
	fi
	@$(PIP) install --no-deps --force-reinstall dist/*.whl
	@touch $@
