# make demo | make test | make test-long | make lint | make docs: each makes its environment in .venv first, once.
PYTHON ?= python3
BACKEND ?= jax
export NYALA_BACKEND = $(BACKEND)
EPOCHS ?=
SAMPLES ?=
ARGS ?=

VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

# The smallest builds; torch comes first so that nothing else pulls in a larger one.
TORCH = torch==2.13.0
ifeq ($(shell uname -sm),Linux x86_64)
TENSORFLOW = tensorflow-cpu
else
TENSORFLOW = tensorflow
endif
NEEDS_torch = $(TORCH)
NEEDS_tensorflow = $(TENSORFLOW)

.PHONY: demo test test-long lint docs format clean

demo: $(VENV)/.demo-$(BACKEND)
	$(BIN)/python examples/mnist_cnn.py --backend $(BACKEND) \
		$(if $(EPOCHS),--epochs $(EPOCHS)) $(if $(SAMPLES),--samples $(SAMPLES)) $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 $(ARGS)

test-long: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m long $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

# The site, in build/site; no warnings.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit("Nyala needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + \
		"; say: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.made
	$(PIP) $(TORCH)
	$(PIP) -e '.[dev]'
	touch $@ $(foreach b,jax torch tensorflow,$(VENV)/.demo-$(b))

$(VENV)/.docs: pyproject.toml | $(VENV)/.made
	$(PIP) -e '.[docs]'
	touch $@

$(VENV)/.demo-%: pyproject.toml | $(VENV)/.made
	$(PIP) -e '.[demo]' $(NEEDS_$*)
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
