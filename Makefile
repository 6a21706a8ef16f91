# A verb a line. `make` alone checks all that a commit must pass; `make demo` shows what it is for.
BIN := .venv/bin
READY := .venv/.ready
DATA ?= .up
LISTEN ?= 127.0.0.1:9000
PYTEST := $(BIN)/pytest -n auto --dist worksteal

.DEFAULT_GOAL := check
.PHONY: check demo up setup fmt fmt-check lint types floors test test-all bench bench-stores bench-setup bench-ab soak docs clean

$(READY): pyproject.toml scripts/setup
	@scripts/setup

check:       fmt-check lint types floors test
setup:       ; @scripts/setup
demo:        $(READY) ; $(BIN)/python demo/demo.py
up:          $(READY) ; $(BIN)/mayfly up --data $(DATA) --listen $(LISTEN)
fmt:         $(READY) ; $(BIN)/ruff format . && $(BIN)/ruff check --fix .
fmt-check:   $(READY) ; $(BIN)/ruff format --check .
lint:        $(READY) ; $(BIN)/ruff check .
types:       $(READY) ; $(BIN)/mypy
floors:      $(READY) ; $(BIN)/lint-imports
test:        $(READY) ; $(PYTEST)
test-all:    $(READY) ; MAYFLY_TEST_PROFILE=thorough $(PYTEST)
bench:       $(READY) ; $(BIN)/python -m bench.run
bench-stores: $(READY) ; for one in objects tables queues; do $(BIN)/python -m bench.$$one || exit 1; done
soak:        $(READY) ; $(BIN)/python -m bench.soak
bench-setup: $(READY) ; bench/setup
bench-ab:    $(READY) ; $(BIN)/python -m bench.ab $(or $(BASE),$(error BASE=REVISION names what to compare with))
docs:        $(READY) ; $(BIN)/python scripts/docs.py
clean:       ; rm -rf .venv .venv-clients dist build bench/out bench/.venv-others .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
