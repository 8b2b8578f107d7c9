# make demo: the main job on real 8x8 digits, in minutes.   make test: every test but those in a browser or on a cluster.
# make test-browser: the report, in a headless Chromium.
# make test-slurm: those, as root, on a cluster of one node that they start.   make bench: how fast it is here.
# make lock: new versions.   make release-data: one archive of a preset's results (PRESET=demo), to hand on.
SHELL := /bin/bash
PYTHON ?= python3
CORES ?= 2
INSTALLED := .venv/installed
DEMO := --configfile presets/demo.yaml --cores $(CORES)

.PHONY: demo release-data test test-browser test-slurm lint bench lock clean

demo: $(INSTALLED)
	.venv/bin/snakemake all $(DEMO) --quiet rules
	@cat results/demo/table1.md
	@echo
	@echo "tables:    results/demo/table1.csv ... table6.csv (.md beside each; *_vs_paper.csv: the paper's numbers)"
	@echo "figures:   results/demo/figure1.svg ... figure3.svg (.png beside each)"
	@echo "notebooks: results/demo/notebooks/*.html"
	@echo "all of it: results/demo/report.html, with where each number came from"

PRESET ?= demo
release-data: $(INSTALLED)
	.venv/bin/snakemake archive --configfile presets/$(PRESET).yaml --cores $(CORES) --quiet rules
	@echo "in a copy of this repository:  mkdir -p results && unzip crate.zip -d results/$(PRESET)"
	@echo "then only what you ask for is made from it:"
	@echo "  snakemake tables figures --configfile presets/$(PRESET).yaml --forcerun table figure --cores $(CORES)"
	@echo "  accelerated-smoothing audit results/$(PRESET)/table1.csv"
	@ls -lh results/$(PRESET)/crate.zip

test: $(INSTALLED) lint
	.venv/bin/python -m pytest

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

bench: $(INSTALLED)
	.venv/bin/python -m benchmarks --threads $(CORES) --output results/benchmarks.csv

lock:
	$(PYTHON) envs/make.py

clean:
	rm -rf results/demo

# uv is taken from the path, or else installed into an environment of its own.
$(INSTALLED): envs/lock.txt pyproject.toml
	@if ! command -v uv > /dev/null; then \
	    test -x .venv-uv/bin/uv || { $(PYTHON) -m venv .venv-uv && .venv-uv/bin/pip install --quiet uv; } || { \
	    rm -rf .venv-uv; echo "set-up: no uv, and no venv to put it in; 'apt-get install python3-venv' would do" >&2; exit 2; }; fi
	uv=$$(command -v uv || echo .venv-uv/bin/uv) && \
	    { test -x .venv/bin/python || $$uv venv --quiet --python '>=3.11' .venv; } && \
	    $$uv pip sync --quiet --python .venv --require-hashes --compile-bytecode envs/lock.txt && \
	    $$uv pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	touch $@
