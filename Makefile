# `make` lists the targets. Both main ones, drill and test, make and use .venv here.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

# The first Python 3.11 or newer that really runs (a pyenv shim may not).
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
# Without cached bytecode every start compiles some 2,000 modules again: 2 s more.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(READY): requirements/uv.txt requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer was found: install one, or say make PYTHON=/path/to/python3."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $@

.PHONY: venv
venv: $(READY) ## make .venv with everything, at the locked versions

.PHONY: drill
drill: $(READY) ## rehearse a rollback on a real cluster on this machine, from nothing to a report
	$(BIN)/pytest --env=drill --rollback-to=5

.PHONY: drill-stop
drill-stop: $(READY) ## end a drill that was kept with --drill-keep
	$(BIN)/pytest --drill-stop

.PHONY: test
# Three at once on two cores, the drill's files among the first: they mostly wait. A real control plane may be
# late once: what fails twice is red. What hangs ends (a first build of the drill's binaries takes ten minutes).
test: lint browser postgresql lowest ## everything that CI runs; the last lines are pytest's own counts
	$(BIN)/pytest tests -m 'not campaign' -n 3 --dist loadfile --no-loadscope-reorder --reruns 1 -r R --durations 20 \
		-o faulthandler_timeout=1800 -o faulthandler_exit_on_timeout=true

.PHONY: kubelet-test
kubelet-test: $(READY) ## the tests that pods decide, on a kubelet and containerd of our own (Linux, root; some minutes)
	$(BIN)/python benchmarks/kubelet_tests.py

.PHONY: lint
lint: $(READY) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: docs
docs: $(READY) ## the documentation as a site in dist/site, offline; a warning is an error
	$(BIN)/python tools/docs_site.py

.PHONY: browser
browser: ## a Chromium for the tests of the report, from Debian's packages where it is missing
	@tools/need-browser.sh

.PHONY: postgresql
postgresql: ## a PostgreSQL for the tests of migrations, from Debian's packages where it is missing
	@tools/need-postgresql.sh

.PHONY: lowest
lowest: $(READY) ## the tests without a cluster with the lowest versions allowed, on the farthest other Python
	$(BIN)/python tools/lowest_versions.py

.PHONY: other-pythons
other-pythons: $(READY) ## the same with the locked versions, on the farthest other Python >= 3.11 found
	$(BIN)/python tools/other_pythons.py

.PHONY: campaign
campaign: $(READY) ## what is long; results go to benchmarks/
	$(BIN)/python benchmarks/plugin_load.py
	$(BIN)/python benchmarks/exec_time.py
	$(BIN)/python benchmarks/metrics_delay.py
	$(BIN)/python benchmarks/verification.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/generated.py
	$(BIN)/python benchmarks/sequences.py
	$(BIN)/python benchmarks/manifests.py
	$(BIN)/python benchmarks/mutations.py
	$(BIN)/python tests/differential/replay.py
	$(BIN)/python benchmarks/forecast.py
	$(BIN)/python benchmarks/kills.py
	$(BIN)/python benchmarks/slack_messages.py
	$(BIN)/python benchmarks/incidents.py
	$(BIN)/python benchmarks/kubelet_leftovers.py
	$(BIN)/python benchmarks/kubelet_cases.py
	$(BIN)/python benchmarks/drill_venues.py
	$(BIN)/python benchmarks/fleet.py
	$(BIN)/python benchmarks/fleet_scale.py
	$(BIN)/pytest tests -m campaign
	ZKROLLBACK_EACH_RIGHT=1 $(BIN)/pytest tests/drill/test_setup.py -k one_right_less

.PHONY: gallery
gallery: $(READY) browser ## docs/gallery and the README's pictures again, from real drill runs (some minutes; needs tmux)
	$(BIN)/python tools/gallery.py
	$(BIN)/python tools/pictures.py

.PHONY: lock
lock: $(READY) ## lock the newest versions, with hashes and without a registry's name
	$(BIN)/$(LOCK) --upgrade --group dev pyproject.toml --output-file requirements/dev.txt
	grep '^uv==' requirements/uv.txt | cut -d' ' -f1 | $(BIN)/$(LOCK) - --output-file requirements/uv.txt

.PHONY: clean
clean: ## remove what the targets made here (the drill's binaries stay in the user's cache)
	rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
