# Every target is one line a person could type, once `.venv` stands. `make` alone lists them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-dev
# Extra words for pip, such as --index-url for PyTorch's CPU builds (README, "Install").
PIP_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
DEMO_ARGS ?=

# Idle OpenMP threads sleep instead of spinning: several processes share the cores in tests and in the demo.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help install demo test oip-peer camera-peers check format bench compose-test dashboards deploy-check sbom protos lock clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## set up .venv (the other targets do it by themselves)

demo: $(STAMP) ## encoder -> decoder -> three workers, on real photos
	$(BIN)/manypath demo $(DEMO_ARGS)

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

oip-peer: $(STAMP) ## add another project's inference server, for the tests that compare (450 MB)
	$(BIN)/python tests/oip_peer/install.py

camera-peers: $(STAMP) ## add other projects' network camera and proxy, for the tests of cameras (500 MB)
	$(BIN)/python tests/camera/peers/install.py

check: $(STAMP) ## lint, formatting, types, import rules, protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint protos

format: $(STAMP) ## let ruff lay out the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## compare speed with other codecs on this machine
	$(BIN)/python -m benchmarks.speed $(BENCH_ARGS)

compose-test: $(STAMP) ## build the images and run the composed system, where a Docker engine is
	$(BIN)/python -m tests.compose

deploy-check: $(STAMP) ## checkov and the schemas of custom resources over deploy/kubernetes (installs both in .venv-checks)
	$(BIN)/python -m tests.deploy.heavy_checks

sbom: $(STAMP) ## list what is in each image that was built, as CycloneDX in sbom/, where a Docker engine is
	$(BIN)/python tools/sbom.py

dashboards: $(STAMP) ## write deploy/grafana's dashboards and deploy/prometheus' rules for Kubernetes anew
	$(BIN)/python -m deploy.grafana

protos: $(STAMP) ## regenerate src/manypath_api from protos/
	$(BIN)/python protos/generate.py

lock: $(STAMP) ## resolve constraints.txt anew from pyproject.toml's ranges
	$(BIN)/python tools/lock.py

clean: ## remove .venv and every cache
	rm -rf $(VENV) .venv-oip-peer .venv-camera-peers .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Asks again only if what to install has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 13) else \
	  "needs Python 3.11 or 3.12, got " + sys.version.split()[0] + "; say make PYTHON=/path/to/python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt $(PIP_ARGS) -e '.[dev]'
	@touch $@
