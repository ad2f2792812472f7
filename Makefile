# Two commands do everything: `make reproduce` and `make test`. Each makes .venv if it is missing.
# `make bench` times the engine beside other packages, which it installs in an environment of their own, .venv-bench.
#
#   MINUTES      a limit for `make reproduce-models` and `make reproduce-agents`, or how long `make soak` takes
#   PYTHON       the interpreter that makes .venv
#   TORCH_INDEX  a package index to take PyTorch from, for instance its CPU-only one

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH_INDEX ?=
BIN := .venv/bin
READY := .venv/.ready
PEERS := jax diffrax numba

# One intra-op thread a process: on shared cores two threads wait for each other.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

.PHONY: reproduce reproduce-models reproduce-agents test quick soak bench docs lint types clean

reproduce: $(READY)
	@# A verdict that is not as expected (code 1) is a result: it is drawn and reported, and make still fails.
	@$(BIN)/python -m analysis; code=$$?; \
	if [ $$code -le 1 ]; then $(BIN)/python -m figures || code=$$?; fi; \
	exit $$code

# About an hour on two cores. It can be stopped anywhere and goes on from there; MINUTES=45 stops it by itself, and then
# make says that it is not finished (code 3).
reproduce-models: $(READY)
	@$(BIN)/python -m analysis.models $(if $(MINUTES),--minutes $(MINUTES)); code=$$?; \
	if [ $$code -le 1 ]; then $(BIN)/python -m figures --results results/models --out report/models || code=$$?; fi; \
	exit $$code

# Well over an hour on two cores, likewise.
reproduce-agents: $(READY)
	@$(BIN)/python -m analysis.agents $(if $(MINUTES),--minutes $(MINUTES)); code=$$?; \
	if [ $$code -le 1 ]; then $(BIN)/python -m figures --results results/agents --out report/agents || code=$$?; fi; \
	exit $$code

test: lint types
	$(BIN)/python -m pytest -n 2 -q

quick: lint types
	$(BIN)/python -m pytest -n 2 -q -m "not slow"

# Twenty minutes of kills at random moments, and ten thousand mutated inputs of each kind; writes results/faults.json.
soak: $(READY)
	PYTHONPATH=tests:. $(BIN)/python -m soak $(if $(MINUTES),--minutes $(MINUTES))

# What torch compiles is kept between runs, in a directory that is nobody else's: it is read back with pickle.
bench: .venv-bench/.ready
	TORCHINDUCTOR_CACHE_DIR=$(CURDIR)/.venv-bench/inductor .venv-bench/bin/python -m tests.bench

# The documentation, in docs/_build/index.html; a warning is a mistake.
docs: $(READY)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf results report docs/_build .mypy_cache .ruff_cache .pytest_cache

# The constraints also bind the build's own environment.
$(READY): setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; set PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q --index-url $(TORCH_INDEX) torch)
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install -q -e ".[control,dev]"
	@touch $@

# A peer that cannot be installed is no failure: its rows say so, with the last line of its log.
.venv-bench/.ready: setup.cfg pyproject.toml constraints.txt constraints-bench.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; set PYTHON=...")'
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	$(if $(TORCH_INDEX),PIP_CONSTRAINT=constraints.txt .venv-bench/bin/python -m pip install -q --index-url $(TORCH_INDEX) torch)
	PIP_CONSTRAINT=constraints.txt .venv-bench/bin/python -m pip install -q -e ".[cluster]"
	@for peer in $(PEERS); do \
		PIP_CONSTRAINT=constraints-bench.txt .venv-bench/bin/python -m pip install -q $$peer >.venv-bench/$$peer.log 2>&1 \
		|| echo "$$peer is not installed, see .venv-bench/$$peer.log"; \
	done
	@touch $@
