# The commands people expect; each is a few lines. `make help` lists them.
# Where `make run` listens; empty: as .env says, or 8000.
PORT ?=
PYTHON ?= python3
# Where torch comes from. Empty: pip's own configuration decides, and a CUDA build is refused unless CUDA=1.
TORCH_INDEX ?=
CUDA ?=
# What `make bundle` is for; empty: this machine. MODELS=DIR instead of MODELS_DIR's models, MODELS= for none.
PLATFORM ?=
PYTHON_VERSION ?=
# What the checks need of Debian. Where this is root on Debian `make test` installs it, else it says what to do.
DEBIAN := nginx-light chromium fonts-noto-cjk shellcheck busybox systemd-container caddy postgresql \
  swift-proxy swift-account swift-container swift-object
DEBIAN_STAMP := .venv/debian-$(shell echo $(DEBIAN) | tr ' ' '-').stamp
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
TORCH := $(BIN)/pip install --disable-pip-version-check --constraint constraints.txt \
  $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch==2.13.0 torchvision==0.28.0

.PHONY: help run cluster app demo models test image-check check lint format bench bundle load soak fuzz samples clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: .venv/serve.stamp app ## set up what serving needs, then start the service on PORT (8000)
	@$(BIN)/python -m backend $(if $(PORT),--port $(PORT))

app: $(if $(shell command -v npm),build/app.stamp) ## build the phone's app, where npm is; the service runs without it

demo: .venv/serve.stamp ## send a sample through a server of its own; prints the stream and draws the result
	@$(BIN)/python -m backend.demo

cluster: .venv/ray.stamp ## a local Ray cluster of two nodes, and the service on PORT in front of it (docs/cluster-ray.md)
	@$(BIN)/python deploy/cluster.py --port $(PORT)

models: .venv/models.stamp ## download and prepare the real CLIP ViT-B/32 (the one step that needs the network)
	@$(BIN)/python -m holdcheck prepare

test: check $(DEBIAN_STAMP) ## set up everything, then format check, ruff, mypy and pytest
	$(BIN)/pytest

image-check: .venv/dev.stamp ## build every stage and run the image in 256 MiB (docker, or IMAGE_BUILD= and IMAGE_RUN=)
	IMAGE_CHECK=1 $(BIN)/pytest tests/deploy/test_image.py

check: lint ## every check but the tests
	$(BIN)/mypy

lint: .venv/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: .venv/dev.stamp ## let ruff format and fix
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: .venv/models.stamp ## the naive stack and this service side by side -> build/bench.json
	$(BIN)/python -m bench

bundle: .venv/serve.stamp app ## one archive to install without a network. PLATFORM=aarch64 PYTHON_VERSION=3.12 for another machine
	@$(BIN)/python -m deploy.bundle $(if $(PLATFORM),--platform $(PLATFORM)) \
	  $(if $(PYTHON_VERSION),--python-version $(PYTHON_VERSION)) $(if $(filter undefined,$(origin MODELS)),,--models "$(MODELS)")

load: .venv/dev.stamp ## 60 clients, 300 photos, 256 MiB: every accepted photo is answered once (needs root for the limit)
	$(BIN)/python -m bench.load

soak: .venv/dev.stamp ## 1,000 photos one after the other in 256 MiB: nothing grows. SOAK='--minutes 60' to change it
	$(BIN)/python -m bench.soak $(SOAK)

fuzz: .venv/dev.stamp ## 20,000 damaged photos, damaged uploads, and requests made from the API's description
	$(BIN)/python -m bench.fuzz
	OPENAPI_EXAMPLES=100 $(BIN)/pytest tests/backend/test_openapi_conformance.py

clean: ## remove what the commands above made, except prepared models and data
	rm -rf .venv build frontend/dist frontend/node_modules .mypy_cache .ruff_cache .pytest_cache *.egg-info

# ultralytics asks for opencv-python, which installs into the same folder as the headless build and needs a display's
# libraries: whenever pip may have brought it, it goes, and the headless files are put back.
define leave_only_headless_opencv
	@$(BIN)/pip uninstall --quiet --yes opencv-python
	@$(INSTALL) --force-reinstall --no-deps opencv-python-headless
endef

# --- set-up: each stamp is made once and again when what it was made from changes ---------------------------------
.venv/bin/python:
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) could not make .venv: it takes Python 3.11 or newer with its" \
	  "venv module (Debian: sudo apt-get install python3-venv)" >&2; exit 1; }

.venv/serve.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing what the server needs (no torch) ..."
	@$(INSTALL) --editable .
	@touch $@

.venv/ray.stamp: .venv/serve.stamp
	@echo "installing Ray Serve ..."
	@$(INSTALL) --editable '.[ray]'
	@touch $@

.venv/models.stamp: .venv/serve.stamp
	@if [ -z "$(CUDA)" ] && $(TORCH) --dry-run | grep -q ' nvidia-cu'; then echo "The default index would install gigabytes of CUDA." \
	  "Set TORCH_INDEX to PyTorch's index of CPU builds (its install page names it), or CUDA=1 to accept." >&2; exit 1; fi
	@echo "installing what prepare needs (torch, about 1 GB) ..."
	@$(TORCH) --quiet
	@$(INSTALL) --editable '.[models]'
	$(leave_only_headless_opencv)
	@touch $@

.venv/dev.stamp: .venv/models.stamp
	@echo "installing what the checks need ..."
	@$(INSTALL) --editable '.[dev,train]'
	$(leave_only_headless_opencv)
	@touch $@

# RUNLEVEL: a package that brings a service does not start it.
$(DEBIAN_STAMP): | .venv/bin/python
	@command -v dpkg-query >/dev/null || { echo "not Debian: install what stands for $(DEBIAN) here" >&2; touch $@; exit 0; }; \
	missing=$$(for package in $(DEBIAN); do \
	  dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
	if [ -n "$$missing" ] && [ "$$(id -u)" != 0 ]; then \
	  echo "The checks need more of Debian: sudo apt-get install --no-install-recommends" $$missing >&2; exit 1; fi; \
	if [ -n "$$missing" ]; then echo "installing what the checks need of Debian:" $$missing "..."; apt-get update -qq && \
	  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi && \
	touch $@

# A build that fails, as with an old node, does not stop the service: / says how to make it.
build/app.stamp: frontend/node_modules/.package-lock.json $(shell find frontend -type f -not -path '*/node_modules/*' -not -path '*/dist/*')
	@echo "building the phone's app ..."
	@mkdir -p build
	@cd frontend && npm run --silent build && touch ../$@ || echo "The app could not be built; the service runs without it." >&2

frontend/node_modules/.package-lock.json: frontend/package-lock.json
	@echo "installing what the app is built with ..."
	@cd frontend && npm ci --no-audit --no-fund --loglevel error && touch node_modules/.package-lock.json || true
