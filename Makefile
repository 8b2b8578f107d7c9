# make setup         Python packages, in .venv; the other targets do it if needed
# make demo          the whole experiment on real 8x8 digits, in minutes
# make test-fast     the quick unit tests; make test: every test but those in a browser or on a cluster
# make test-browser  the page of a run, in a headless Chromium
# make test-slurm    a cluster of one node, which the tests start as root
# make docs          the manual as a site, in site/
# make bench-quick   speed on this machine, in two minutes; make bench: in more detail, in ten
# make lock          update the locked versions
# make release-data  one archive of a preset's results (PRESET=demo)
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= 2
INSTALLED := .venv/installed
DEMO := --configfile presets/demo.yaml --cores $(CORES)
# One view of the progress on a terminal, a few lines elsewhere.
PROGRESS := $(shell test -t 2 && echo --logger rich || echo --quiet rules)

.PHONY: setup demo release-data test test-fast test-browser test-slurm lint docs bench bench-quick lock clean

setup: $(INSTALLED)

demo: $(INSTALLED)
	.venv/bin/snakemake all $(DEMO) $(PROGRESS)
	@cat results/demo/table1.md
	@echo
	@echo "tables:    results/demo/table1.csv ... table6.csv (.md beside each; *_vs_paper.csv: the paper's numbers)"
	@echo "figures:   results/demo/figure1.svg ... figure3.svg (.png beside each)"
	@echo "notebooks: results/demo/notebooks/*.html"
	@echo "report:    results/demo/report.html, with the origin of each number"

PRESET ?= demo
release-data: $(INSTALLED)
	.venv/bin/snakemake archive --configfile presets/$(PRESET).yaml --cores $(CORES) --quiet rules
	@echo "in a copy of this repository:  mkdir -p results && unzip crate.zip -d results/$(PRESET)"
	@echo "then remake its tables and figures, and audit them:"
	@echo "  snakemake tables figures --configfile presets/$(PRESET).yaml --forcerun table figure --cores $(CORES)"
	@echo "  accelerated-smoothing audit results/$(PRESET)/table1.csv"
	@ls -lh results/$(PRESET)/crate.zip

test: $(INSTALLED) lint
	.venv/bin/python -m pytest -n $(CORES) --dist loadgroup

test-fast: $(INSTALLED)
	.venv/bin/python -m pytest tests/unit -m "not slow" -n $(CORES) --dist loadgroup

test-browser: $(INSTALLED)
	.venv/bin/python -m pytest tests/browser -m browser

SLURM_TESTS := slurm
test-slurm: $(INSTALLED)
	.venv/bin/python -m pytest tests/slurm -m "$(SLURM_TESTS)"

lint: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/snakefmt --check Snakefile rules
	.venv/bin/snakemake --lint

docs: $(INSTALLED)
	.venv/bin/python -m mkdocs build --strict --quiet

bench: $(INSTALLED)
	.venv/bin/python -m benchmarks --threads $(CORES) --output results/benchmarks.csv

bench-quick: $(INSTALLED)
	.venv/bin/python -m benchmarks --quick --threads $(CORES)

lock:
	$(PYTHON) envs/make.py

clean:
	rm -rf results/demo

# uv is taken from the path, or else installed into an environment of its own.
$(INSTALLED): envs/lock.txt pyproject.toml
	@if ! command -v uv > /dev/null; then \
	    test -x .venv-uv/bin/uv || { $(PYTHON) -m venv .venv-uv && .venv-uv/bin/pip install --quiet uv; } || { \
	    rm -rf .venv-uv; echo "set-up: uv must be installed, got none; install uv, or run 'apt-get install python3-venv'" >&2; exit 2; }; fi
	uv=$$(command -v uv || echo .venv-uv/bin/uv) && \
	    { test -x .venv/bin/python || $$uv venv --quiet --python '>=3.11' .venv; } && \
	    $$uv pip sync --quiet --python .venv --require-hashes --compile-bytecode envs/lock.txt && \
	    $$uv pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	touch $@
