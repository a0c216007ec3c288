# Every target sets up what it needs first. Results lie under build/<name>/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv/bin
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export MYPYPATH := $(CURDIR)/build/collections
# Some environments set them. Everything would be compiled at each call; and Python would read each
# task that Ansible hands it, 190 KB, byte by byte.
unexport PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED

.PHONY: help setup check lint types unit test test-docker molecule sanity lock faults bench demo demo-clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /'

setup:  ## system packages (named first) and the pinned Python packages
	@tools/setup.sh

lint: setup  ## formatting, style, YAML and Ansible rules
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/ansible-lint --offline
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/antsibull-docs lint-collection-docs --plugin-docs .
	$(VENV)/antsibull-changelog lint

types: setup  ## strict types of the engine
	$(VENV)/mypy plugins/module_utils

unit: setup  ## unit tests
	$(VENV)/python -m pytest tests --collect-only -q > /dev/null
	$(VENV)/python -m pytest tests/unit

check: lint types unit  ## the fast part: lint, types, unit tests

sanity: setup  ## ansible-test sanity, from a checkout under the path that it wants
	tools/sanity.sh

# As root each lane has users, cron lines and processes of its own (tests/lane.sh). An ordinary user's
# tests share his crontab, so they run one after the other, without what only root may do: a Docker
# engine, and faults of the network and of disks. Packages come before the lanes: they put settings into
# /etc, and a lane has its own.
ROOT := $(filter 0,$(shell id -u))
LANES ?= $(shell expr $$(nproc) + 2)
SIDE_BY_SIDE := $(if $(ROOT),--dist loadscope --no-loadscope-reorder --tx '$(LANES)*popen//python=tests/lane.sh')
PARTS := unit house corpus integration $(if $(ROOT),faults docker plan)
test: setup  ## all of it, in lanes side by side; PARTS="unit corpus" for less
	@mkdir -p build/test
	$(if $(ROOT),@PYTHONPATH=tests $(VENV)/python -c 'from docker_lab import needs; needs.install(print)')
	$(VENV)/python -m pytest $(addprefix tests/,$(PARTS)) $(SIDE_BY_SIDE) --durations=25 --junitxml=build/test/junit.xml
	@echo "results: build/test/junit.xml"

test-docker:  ## what needs a Docker engine alone; brings one of its own
	$(MAKE) --no-print-directory test PARTS="docker plan" LANES=1

molecule: setup  ## molecule's scenarios on a Docker engine of their own; SCENARIO=plan for one
	$(VENV)/python -m pytest tests/docker/test_molecule.py $(if $(SCENARIO),-k "$(SCENARIO)") -s --durations=0 --durations-min=1

# How the demo is called, and what it takes: DEMO_STORES=100, DEMO_LANGUAGE=pt_BR or en, DEMO_ROOT.
DEMO := PYTHONPATH=tools:tests $(VENV)/python -m demo
DEMO_OPTIONS := $(if $(DEMO_ROOT),--root $(DEMO_ROOT))
demo:  ## the promise kept once, on this machine: set-up, site.yml, the three pages
	@started=$$(date +%s.%N) && tools/setup.sh && DEMO_STARTED=$$started $(DEMO) up $(DEMO_OPTIONS) \
	  $(if $(DEMO_STORES),--stores $(DEMO_STORES)) $(if $(DEMO_LANGUAGE),--language $(DEMO_LANGUAGE))

demo-clean:  ## end and remove everything of the demo
	@tools/setup.sh && $(DEMO) clean $(DEMO_OPTIONS)

faults: setup  ## cause faults for real and compare the outcome; ROWS=c1_ for some alone
	$(VENV)/python -m pytest -q tests/faults $(if $(ROWS),-k "$(ROWS)")
	@echo "results: build/faults/results.json"

bench: setup  ## ours and the other, side by side; ROWS=archive ROUNDS=3 for less
	$(VENV)/python -m bench $(ROWS) $(if $(ROUNDS),--rounds $(ROUNDS))

lock: setup  ## renew requirements.lock from requirements.in
	rm -rf build/lock && python3 -m venv build/lock && build/lock/bin/pip install --quiet -r requirements.in
	build/lock/bin/pip freeze | sort -f > requirements.lock
