# Everything a newcomer or a machine does here: demo, test, check, audit, openapi, bench.

VENV := .venv
PEERS := .venv-peers
DATASETTE := .venv-datasette
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
PYTHON ?= python3

# Torch's requirement, for the tests of the client's datasets; `torch==2.13.0` where that lies at hand, say.
TORCH ?= torch>=2.4

.PHONY: demo test check audit openapi bench bench-sign bench-epoch bench-scale install torch clean

demo: install
	@exec $(BIN)/gygo-server demo $(ARGS)

test: install
	$(BIN)/pytest $(ARGS)

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r service client

audit: install
	.ci/audit $(UV) $(BIN)/pip-audit

openapi: install
	$(BIN)/python -m api_spec.write

bench: install
	$(BIN)/python -m benchmarks.basics $(ARGS)

bench-sign: install
	$(BIN)/python -m benchmarks.sign $(ARGS)

bench-epoch: $(PEERS)/.installed
	$(PEERS)/bin/python -m benchmarks.epoch --require-peers $(ARGS)

bench-scale: install $(DATASETTE)/.installed
	$(BIN)/python -m benchmarks.scale $(ARGS)

install: $(VENV)/.installed

# By pip, which can be told where to find a build without CUDA; `make test` skips what needs it when it is not there.
torch: install
	@$(BIN)/python -c 'import torch, torchdata' 2>/dev/null \
	  || $(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check '$(TORCH)' torchdata

# The lock decides what is installed; the stamp, whether it has to be looked at again.
$(VENV)/.installed: pyproject.toml client/pyproject.toml uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=$(VENV) $(UV) sync --quiet --locked --inexact --all-packages --extra demo --extra fast --extra cloudfront --extra cluster
	@touch $@

# Beside ours, what it is measured against: some gigabytes, and PyTorch. In two steps, as one of the peers asks for an
# older numpy than ours, and works with it all the same.
$(PEERS)/.installed: benchmarks/peers.txt pyproject.toml client/pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check '$(TORCH)' -r benchmarks/peers.txt
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -e 'client[fast]' -e '.[demo]'
	@touch $@

# A peer that has libraries of its own.
$(DATASETTE)/.installed: pyproject.toml uv.lock | $(UV)
	UV_PROJECT_ENVIRONMENT=$(DATASETTE) $(UV) sync --quiet --locked --only-group bench
	@touch $@

.uv/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is missing or older than 3.11; name another with make PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv \
	  || { $(PYTHON) -m venv .uv && .uv/bin/pip install --quiet uv; } \
	  || { rm -rf .uv; echo "uv could not be had, see above; without pip: apt-get install python3-venv" >&2; exit 1; }

clean:
	rm -rf $(VENV) $(PEERS) $(DATASETTE) .uv dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
