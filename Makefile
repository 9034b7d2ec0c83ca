PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The package as it is installed, made of links: mypy follows no import hook of an editable install.
VIEW := $(VENV)/view
# Compiled modules are kept whatever the caller's shell says: each of some hundred processes of the suite would
# compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
CAMPAIGN ?= config/campaigns/nb-o.yaml

.PHONY: campaign test style types suite test-slow benchmark figures clean

campaign: $(VENV)/.ready
	@$(BIN)/niobe launch $(CAMPAIGN)

# mypy takes a minute of one processor, which the suite need not wait for.
MAKEFLAGS += --jobs=3

test: style types suite

style: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	cd $(VIEW) && ../bin/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache

# Three on two processors: tests wait for servers and clocks much of the time.
suite: $(VENV)/.ready
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not slow and not benchmark"

test-slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow

benchmark: $(VENV)/.ready
	$(BIN)/python -m pytest -m benchmark -s

figures: $(VENV)/.ready
	$(BIN)/python -m tests.benchmarks.publish

$(VENV)/.ready: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # pip compiles with one processor; some files never compile
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	mkdir -p $(VIEW)/niobe
	ln -sfn ../../tests $(VIEW)/tests
	cd $(VIEW)/niobe && ln -sf ../../../niobe/* .
	for folder in config flows launchers loop surrogates; do ln -sfn ../../../$$folder $(VIEW)/niobe/$$folder; done
	@touch $@

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
