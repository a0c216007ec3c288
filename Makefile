# Every target first installs what it needs. Results are written to build/<name>/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv/bin
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export MYPYPATH := $(CURDIR)/build/collections
# Some environments set these. With the first, Python compiles every module at each start; with the
# second, it reads each task of Ansible, 190 KB, byte by byte.
unexport PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED

.PHONY: help setup check lint types unit test test-docker molecule sanity lock matrix faults bench demo demo-clean generate docs pictures release-notes
help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /'

setup:  ## install missing system packages (named first) and the pinned Python packages
	@tools/setup.sh

lint: setup  ## check formatting, style, YAML and Ansible rules
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/vermin --target=3.9- --violations --no-tips plugins
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/ansible-lint --offline
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/antsibull-docs lint-collection-docs --plugin-docs .
	$(VENV)/antsibull-changelog lint

types: setup  ## check the types of the engine
	$(VENV)/mypy plugins/module_utils

unit: setup  ## run the unit tests, and check that imports follow the architecture
	$(VENV)/python -m pytest tests --collect-only -q > /dev/null
	$(VENV)/python -m pytest tests/unit tests/house/test_architecture.py tests/house/test_engine_names.py

check: setup  ## run the fast part, two parts side by side: format, lint, types, unit tests, architecture
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target types lint unit

sanity: setup  ## run ansible-test sanity
	tools/sanity.sh

# As root, tests run in lanes side by side, each with its own users, cron lines and processes
# (tests/lane.sh). Without root they share a crontab, so they run one after the other, without the tests
# that need root: Docker, faults of the network and of disks. Packages are installed before the lanes
# start, because they write to /etc, of which a lane has a copy.
ROOT := $(filter 0,$(shell id -u))
LANES ?= $(shell expr $$(nproc) + 2)
SIDE_BY_SIDE = $(if $(ROOT),--dist loadscope --no-loadscope-reorder --tx '$(1)*popen//python=tests/lane.sh')
PARTS := timing unit house corpus integration $(if $(ROOT),faults docker plan)
# What is timed runs first and alone, on the disk as on a host: lanes beside it would take its processor.
ALONE := $(if $(TEST),,$(filter timing,$(PARTS)))
PYTEST := $(VENV)/python -m pytest
# While packages are installed, the tests are compiled once, for which each lane takes 4 s otherwise.
test: setup  ## run all tests, as root in lanes side by side; PARTS="unit corpus" TEST=words LANES=1 for fewer
	@mkdir -p build/test
	$(if $(ROOT),@$(PYTEST) $(addprefix tests/,$(PARTS)) --collect-only -q > /dev/null 2>&1 & \
	  PYTHONPATH=tests $(VENV)/python -c 'from docker_lab import needs; needs.install(print)'; installed=$$?; wait; exit $$installed)
	failed=0; \
	$(if $(ALONE),LANE_DISK=1 $(PYTEST) $(addprefix tests/,$(ALONE)) $(call SIDE_BY_SIDE,1) --junitxml=build/test/timing.xml || failed=$$?;) \
	$(if $(filter-out $(ALONE),$(PARTS)),$(PYTEST) $(addprefix tests/,$(filter-out $(ALONE),$(PARTS))) $(call SIDE_BY_SIDE,$(LANES)) $(if $(TEST),-k "$(TEST)") --durations=25 --junitxml=build/test/junit.xml || failed=$$?;) \
	exit $$failed
	@echo "results: build/test/*.xml"

test-docker:  ## run the tests that need Docker, on an engine of their own
	$(MAKE) --no-print-directory test PARTS="docker plan" LANES=1

molecule: setup  ## run molecule's scenarios on a Docker engine of their own; SCENARIO=plan for one
	$(VENV)/python -m pytest tests/docker/test_molecule.py $(if $(SCENARIO),-k "$(SCENARIO)") -s --durations=0 --durations-min=1

# Variables: DEMO_TENANTS=100, DEMO_LANGUAGE=pt_BR or en, DEMO_ROOT (a folder).
DEMO := PYTHONPATH=tools:tests:build/collections $(VENV)/python -m demo
DEMO_OPTIONS := $(if $(DEMO_ROOT),--root $(DEMO_ROOT))
demo:  ## run all three stages on this machine and show their pages
	@started=$$(date +%s.%N) && tools/setup.sh && DEMO_STARTED=$$started $(DEMO) up $(DEMO_OPTIONS) \
	  $(if $(DEMO_TENANTS),--tenants $(DEMO_TENANTS)) $(if $(DEMO_LANGUAGE),--language $(DEMO_LANGUAGE))

demo-clean:  ## stop and remove everything of the demo
	@tools/setup.sh && $(DEMO) clean $(DEMO_OPTIONS)

matrix: setup  ## walk as a new owner on hosts of Debian 11 to 13, by every ansible-core (root; minutes); OWN=1 or CORE=2.21 for one
	$(if $(ROOT),@PYTHONPATH=tests $(VENV)/python -c 'from docker_lab import needs; needs.install(print)')
	PYTHONPATH=tools $(VENV)/python -m matrix $(if $(OWN),--own) $(if $(CORE),--core $(CORE)) --document

faults: setup  ## cause real faults and compare the outcome; ROWS=c1_ for some
	THOROUGH=1 $(VENV)/python -m pytest -q tests/faults $(if $(ROWS),-k "$(ROWS)")
	@echo "results: build/faults/results.json"

bench: setup  ## compare with reference commands, side by side; ROWS=archive ROUNDS=3 for less
	$(VENV)/python -m bench $(ROWS) $(if $(ROUNDS),--rounds $(ROUNDS))

generate: setup  ## write generated files: catalogues of translations, findings, metrics, dashboard, options of the roles
	$(VENV)/python tools/findings.py
	$(VENV)/python tools/role_options.py
	$(VENV)/python tools/monitoring.py
	$(VENV)/python tools/catalogue.py

DOCS := build/docs
docs: setup  ## build the documentation site, follow its links, look at it at three widths; check the dashboard
	@mkdir -p $(DOCS)
	@cmp -s requirements-docs.txt $(DOCS)/installed.txt || { rm -rf $(DOCS)/venv && $(VENV)/python -m venv $(DOCS)/venv \
	  && $(DOCS)/venv/bin/pip install --quiet --disable-pip-version-check -r requirements-docs.txt \
	  && cp requirements-docs.txt $(DOCS)/installed.txt; }
	$(if $(ROOT),@PYTHONPATH=tests $(VENV)/python -c 'from docker_lab import needs; needs.install(print, ["chromium"])')
	$(VENV)/python tools/docs_site.py
	NO_MKDOCS_2_WARNING=1 $(DOCS)/venv/bin/mkdocs build --quiet --strict
	$(VENV)/python tools/docs_check.py
	$(DOCS)/venv/bin/python tools/dashboard_check.py
	@echo "read it: python3 -m http.server -d $(DOCS)/site"

pictures: setup  ## make the pictures of the documentation from the demo, which must be there
	$(VENV)/python tools/pictures.py $(DEMO_ROOT)

# A release of a version that is there is made anew, from all fragments.
release-notes: setup  ## write the release notes of the version in galaxy.yml from the fragments
	$(VENV)/antsibull-changelog lint
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/antsibull-changelog release --reload-plugins

lock: setup  ## renew requirements.lock from requirements.in
	rm -rf build/lock && python3 -m venv build/lock && build/lock/bin/pip install --quiet -r requirements.in
	build/lock/bin/pip freeze | sort -f > requirements.lock
