PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CAMPAIGN ?= config/campaigns/nb-o.yaml

.PHONY: campaign test test-slow benchmark figures clean

campaign: $(VENV)/.ready
	@$(BIN)/niobe launch $(CAMPAIGN)

test: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow and not benchmark"

test-slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow

benchmark: $(VENV)/.ready
	$(BIN)/python -m pytest -m benchmark -s

figures: $(VENV)/.ready
	$(BIN)/python -m tests.benchmarks.figures

$(VENV)/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
