# openkline: `make run` and `make test` set up what they need, in folders of this tree only.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STUBS  := .venv-stubs
OBD    := .venv-obd
PIP    := -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup run flash newcomer repl quick test test-obd coverage lint hooks soak bench pages dist deb deb-test clean

help: ## this list
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Two stamps on one environment: what runs openkline, and the tests and linters on top of it.
$(VENV)/.run-stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "openkline needs Python >= 3.11, this is " + sys.version.split()[0])'
	@echo "1/2 an environment in $(VENV), with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@echo "2/2 openkline and what it needs to run, from the package index (once, about 90 MB on disk)"
	@$(BIN)/python $(PIP) -e .
	@touch $@

$(VENV)/.stamp: $(VENV)/.run-stamp
	@echo "tests and linters, into the same environment (once, about 120 MB more)"
	@$(BIN)/python $(PIP) -e '.[test,lint]'
	@touch $@

$(STUBS)/.stamp: pyproject.toml
	@echo "the stubs of MicroPython's modules, in $(STUBS) (once)"
	@$(PYTHON) -m venv $(STUBS)
	@$(STUBS)/bin/python $(PIP) mypy 'micropython-esp32-stubs>=1.27,<2'
	@touch $@

$(OBD)/.stamp: tests/obd_oracle/requirements.txt
	@echo "python-OBD, which tests our ELM327, in $(OBD) (once)"
	@$(PYTHON) -m venv $(OBD)
	@$(OBD)/bin/python $(PIP) -r tests/obd_oracle/requirements.txt
	@touch $@

##@ Use it

# Cars with ECUs for a tester; all others have a bus to listen to.
OBD_CARS := obd $(basename $(notdir $(wildcard boards/SIM/cars/*.json)))

run: $(VENV)/.run-stamp ## the bridge on the virtual board, with a small virtual car (REPLAY=FILE: a capture; CAR=obd: live OBD values)
ifneq ($(filter $(OBD_CARS),$(CAR)),)
	$(BIN)/openkline obd live -d sim --car $(CAR)
else
	$(BIN)/openkline bridge -d sim $(if $(REPLAY),--replay '$(REPLAY)') $(if $(CAR),--car '$(CAR)')
endif

# A PORT or BOARD that is set for another program would be a surprise: it is taken, but not silently.
environment = $(foreach name,$(1),$(if $(filter environment%,$(origin $(name))),\
	$(warning $(name)=$($(name)) is taken from the environment)))

flash: $(VENV)/.run-stamp ## MicroPython and openkline onto a board (PORT=/dev/..; BOARD=, FIRMWARE=, INTERFACE=: else found or asked)
	$(call environment,PORT BOARD FIRMWARE INTERFACE)
	$(BIN)/openkline flash $(if $(PORT),-d '$(PORT)') $(if $(BOARD),--board '$(BOARD)') \
		$(if $(FIRMWARE),--firmware '$(FIRMWARE)') $(if $(INTERFACE),--interface '$(INTERFACE)')

repl: $(VENV)/.run-stamp ## MicroPython's prompt on the board, its application told to quit (PORT=sim: on the virtual board)
	$(call environment,PORT)
	$(BIN)/openkline repl $(if $(PORT),-d '$(PORT)')

##@ Change it

setup: $(VENV)/.stamp ## the environment (.venv) with tests and linters, for everything below

# Under a minute on two processors. ruff and mypy look only at what has changed since they last looked.
quick: lint ## what to run after each change: lint, protocol and host tests without the long ones
	$(BIN)/pytest -n 2 --dist worksteal -m 'not (soak or fuzz or slow)' --hypothesis-profile quick tests/protocol tests/host

# Three on two processors: a third of their time is waiting.
test: setup test-obd ## all tests, without a board
	$(BIN)/pytest -n 3 --dist worksteal

test-obd: setup $(OBD)/.stamp ## python-OBD as user of our ELM327, and its decoders beside ours, in an environment of its own
	$(OBD)/bin/python -m pytest -c tests/obd_oracle/pytest.ini tests/obd_oracle -n 3 --maxschedchunk 1 -m 'not soak'

# Not part of `make test`: counting doubles the time of what it counts.
coverage: setup ## how much of host and kline.protocol their own tests run, in one line (fails below the floor)
	@$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report= tests/protocol tests/host
	@echo "coverage of openkline and kline.protocol by tests/protocol and tests/host:" \
		"$$($(BIN)/coverage report --format=total) %"

lint: setup $(STUBS)/.stamp ## style, spelling, types, import rules, firmware against the ESP32 stubs, commit subjects
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.lint_firmware $(STUBS)/bin/python
	$(BIN)/python -m tests.lint_commits

hooks: setup ## git runs the quick linters before each commit (pre-commit)
	$(BIN)/python $(PIP) pre-commit
	$(BIN)/pre-commit install --hook-type pre-commit --hook-type commit-msg

newcomer: setup ## write docs/newcomer.md again, from a real session on a virtual board
	$(BIN)/python -m tests.e2e.newcomer

soak: setup $(OBD)/.stamp ## the long tests (under an hour)
	$(OBD)/bin/python -m pytest -c tests/obd_oracle/pytest.ini tests/obd_oracle -m soak
	$(BIN)/pytest -n 3 --dist worksteal -m soak -v --durations=0 --durations-min=1

bench: setup ## speed, memory, sizes, flash reads of a start, what Python costs, steps of an update
	$(BIN)/pytest tests/bench tests/host/test_sizes.py tests/device/test_costs_start.py tests/device/mpy_costs.py tests/device/mpy_costs_bus.py tests/device/mpy_update_steps.py -rP

##@ Release it (docs/releasing.md)

pages: setup ## completion for bash, zsh and fish, and a man page, in build/share/
	$(BIN)/python packaging/build_pages.py build/share

dist: setup ## wheel and source archive, in dist/, tried in an environment of their own
	rm -rf dist
	$(BIN)/hatchling build -d dist
	$(BIN)/python packaging/check_wheel.py dist

deb: setup ## the Debian package, in build/
	$(BIN)/python packaging/build_deb.py build

deb-test: deb ## install it in a clean Debian root, run daemon and unit there (needs root and debootstrap)
	$(BIN)/python packaging/check_deb.py build/openkline_*.deb

##@ Clean up

clean: ## remove everything that make made
	rm -rf $(VENV) $(STUBS) $(OBD) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
