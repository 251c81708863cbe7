# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Numerical libraries start a thread a core in every process; on small machines they then fight each other.
export OMP_NUM_THREADS ?= 2

.PHONY: demo test test-thorough test-service test-browser test-integrations test-loaders docs test-docs test-synthcity faults sbom audit-dependencies check format bench growth race frontier ablation certify accuse gate coverage suite monitor lab oracles clean

demo: $(READY)
	$(BIN)/tablegate demo

# MEASURE=--cov measures coverage as well, which takes half as long again: tracing costs most where loops are tested.
MEASURE ?=
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(MEASURE) -n 2 --dist worksteal

# The same tests on SQLite and on PostgreSQL, and those that take minutes of real workers. The server is one to make and
# drop databases on; nothing of it is kept.
POSTGRESQL ?= postgresql+psycopg://postgres@127.0.0.1:5432/postgres
SERVICE_TESTS ?= tests/service tests/web
SERVICE_MARKS ?= not browser
test-service: $(READY)
	OMP_NUM_THREADS=1 TABLEGATE_TEST_POSTGRESQL=$(POSTGRESQL) $(BIN)/python -m pytest --no-cov $(SERVICE_TESTS) \
		-m "$(SERVICE_MARKS)"

# Larger samples and longer sweeps: smaller error rates, real tables, every combination.
test-thorough: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --no-cov -n 2 --dist worksteal -m thorough

# Every point of every kill, where test-service tries a sample: about a hundred and fifty releases a database.
faults: $(READY)
	OMP_NUM_THREADS=1 TABLEGATE_SWEEP=0 TABLEGATE_TEST_POSTGRESQL=$(POSTGRESQL) $(BIN)/python -m pytest --no-cov -s -m "" \
		tests/service/test_faults.py

# Headless Chromium (Debian: chromium) walks through a service that runs by itself; generated requests try its interface.
# Screenshots go where TABLEGATE_SCREENSHOTS says.
test-browser: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt playwright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --no-cov -m browser tests/browser
	OMP_NUM_THREADS=1 TABLEGATE_EXAMPLES=50 $(BIN)/python -m pytest --no-cov tests/web/test_interface.py

# Tools beside ours are large and stay out of the development environment; some of them want pandas of the 2 series.
test-integrations:
	$(PYTHON) -m venv .venv-integrations
	.venv-integrations/bin/python -m pip install --quiet --constraint tests/integrations/constraints.txt \
		--editable '.[dask,ray,sdmetrics,evidently,mlflow]' hypothesis mlflow pytest pytest-cov sdv setuptools ydata-profiling
	OMP_NUM_THREADS=1 RAY_raylet_start_wait_time_s=300 .venv-integrations/bin/python -m pytest -W default --no-cov -rs tests/integrations

# synthcity's maintained fork: several gigabytes.
test-synthcity:
	$(PYTHON) -m venv .venv-synthcity
	.venv-synthcity/bin/python -m pip install --quiet --constraint tests/synthcity/constraints.txt \
		--editable '.[synthcity]' hypothesis pytest pytest-cov
	OMP_NUM_THREADS=1 .venv-synthcity/bin/python -m pytest -W default --no-cov -rs tests/synthcity

# Readers of bundles, and the programs of the pages that need them.
test-loaders:
	$(PYTHON) -m venv .venv-loaders
	.venv-loaders/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,loaders]'
	OMP_NUM_THREADS=1 .venv-loaders/bin/python -m pytest --no-cov -rs tests/loaders
	OMP_NUM_THREADS=1 .venv-loaders/bin/python -m pytest --no-cov -rs -m docs tests/docs/test_pages.py

# The site, in site/: built without a network, and a warning ends it. The page of commands is made of the commands.
docs: $(READY)
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --constraint constraints.txt 'mkdocs-material>=9.6' 'mkdocstrings[python]>=0.30'
	$(BIN)/typer api.cli utils docs --name tablegate --output docs/reference/cli.md
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	! grep -rE 'src="https?://' site --include='*.html'

# The tutorial word by word, and every program of the pages.
test-docs: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --no-cov -rs -m docs tests/docs

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m bench.run

growth: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.growth

# Both install existing systems into environments under ~/.cache/tablegate-peers (up to 10 GB).
race: $(READY)
	$(BIN)/python -m bench.race

accuse: $(READY)
	$(BIN)/python -m bench.accuse

frontier: $(READY)
	$(BIN)/python -m bench.frontier

ablation: $(READY)
	$(BIN)/python -m bench.ablation

gate: $(READY)
	$(BIN)/python -m bench.gate

coverage: $(READY)
	$(BIN)/python -m bench.coverage

suite: $(READY)
	$(BIN)/python -m bench.suite

monitor: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.monitor

lab: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m bench.lab

certify: $(READY)
	$(BIN)/python -m bench.certify --runs 1000 --store

# JAX is large and stays out of the development environment; tests read the answers that are checked in.
oracles:
	$(PYTHON) -m venv .venv-oracles
	.venv-oracles/bin/python -m pip install --quiet --constraint constraints.txt mbi==2.0.0
	.venv-oracles/bin/python tests/oracles/fit_by_mbi.py

# A CycloneDX bill of materials of the environment as installed; and its pins, held against published advisories.
SUPPLY := .venv-supply
sbom: $(READY) $(SUPPLY)/.ready
	$(SUPPLY)/bin/cyclonedx-py environment $(VENV) --pyproject pyproject.toml --output-reproducible --output-file sbom.json

audit-dependencies: $(SUPPLY)/.ready
	$(SUPPLY)/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

$(SUPPLY)/.ready: constraints.txt
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --quiet --constraint constraints.txt cyclonedx-bom pip-audit
	touch $@

clean:
	rm -rf $(VENV) $(SUPPLY) sbom.json .venv-integrations .venv-synthcity .venv-loaders .venv-docs site build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
