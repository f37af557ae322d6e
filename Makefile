# `make repro` and `make test` are all that a fresh machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where bytecode is not kept, every one of a study's processes compiles torch and MLflow again: seconds each.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install repro repro-parallel check test test-pipeline test-all nightly screens lint study docs ui report bench clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

$(BIN)/.installed: pyproject.toml constraints.txt
	@echo 'PyTorch, DVC, MLflow and what they need go into $(VENV): some minutes and gigabytes, once'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --no-compile -c constraints.txt -e '.[test]'
	touch $@

install: $(BIN)/.installed ## the environment, in .venv

repro: install ## run the active study (params.yaml) and say where the report is
	@test -e .git || git rev-parse --git-dir > /dev/null 2>&1 || dvc config --local core.no_scm true  # a ZIP
	@vaebench methods > /dev/null
	@python -m vaebench.study.lockfile
	dvc repro
	@vaebench best

repro-parallel: install ## several stages at a time; ENGINE=… SLOTS=…: docs/scaleout.md
	@case '$(ENGINE)' in ray) extra=scaleout;; slurm|dask) extra=slurm;; *) exit 0;; esac; \
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$$extra]"
	vaebench repro $(if $(ENGINE),--engine $(ENGINE)) $(if $(SLOTS),--slots $(SLOTS))
	@vaebench best

check: install ## lint and types
	ruff check .
	ruff format --check .
	mypy

WORKERS = -n $(or $(JOBS),logical) --dist worksteal

test: check ## lint, types, units and one tiny pipeline: minutes
	pytest $(WORKERS)

test-pipeline: install ## the tests that run stages and DVC, or compile
	pytest $(WORKERS) -m 'pipeline and not nightly'

test-all: check ## both in one session, as CI does: what they share is made once
	pytest $(WORKERS) -m 'not nightly'

nightly: install ## the slow tests; what one of them lacks is said
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser,scaleout,slurm]'
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps pythae==0.1.2
	pytest -m nightly -rs

screens: install ## the documents' pictures anew, of quickstart and takida_mnist_full here; needs Chromium
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	PYTHONPATH=tests python -m support.screens

lint: install ## format and repair what ruff can
	ruff format .
	ruff check --fix .

study: install ## NAME=…: make another study the active one
	@vaebench study $(NAME)

docs: install ## the API reference, in docs/api
	PDOC_ALLOW_EXEC=1 PYTHONWARNINGS='ignore:The module specification' pdoc --math --output-directory docs/api $$(cd src && find vaebench -name '*.py' -not -name dask.py | sed 's|/__init__.py||; s|\.py||; s|/|.|g')

ui: install ## MLflow on the local store, the report beside it
	vaebench ui

report: install ## rebuild reports/index.html
	vaebench report

bench: ## measure the engine against pythae and the machine's limits
	$(MAKE) install
	$(BIN)/pip install --quiet --no-deps pythae==0.1.2
	python -m benchmarks

clean: ## remove the environment and every output that is not committed
	rm -rf $(VENV) .vaebench $(addprefix data/,prepared reference models densities provenance)
