# openkline: `make run` and `make test` set up what they need, in folders of this tree only.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STUBS  := .venv-stubs
OBD    := .venv-obd

.DEFAULT_GOAL := help
.PHONY: help setup run flash newcomer repl test test-obd lint soak bench deb deb-test clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

$(VENV)/.stamp: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "openkline needs Python >= 3.11, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@

$(STUBS)/.stamp: pyproject.toml
	$(PYTHON) -m venv $(STUBS)
	$(STUBS)/bin/python -m pip install --quiet --disable-pip-version-check mypy 'micropython-esp32-stubs>=1.27,<2'
	@touch $@

$(OBD)/.stamp: tests/obd_oracle/requirements.txt
	$(PYTHON) -m venv $(OBD)
	$(OBD)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/obd_oracle/requirements.txt
	@touch $@

setup: $(VENV)/.stamp ## make the environment (.venv) that everything below uses

# Cars with ECUs for a tester; all others have a bus to listen to.
OBD_CARS := obd $(basename $(notdir $(wildcard boards/SIM/cars/*.json)))

run: setup ## the bridge on the virtual board, with a small virtual car (REPLAY=FILE: a capture; CAR=obd: live OBD values)
ifneq ($(filter $(OBD_CARS),$(CAR)),)
	$(BIN)/openkline obd live -d sim --car $(CAR)
else
	$(BIN)/openkline bridge -d sim $(if $(REPLAY),--replay '$(REPLAY)') $(if $(CAR),--car '$(CAR)')
endif

# A PORT or BOARD that is set for another program would be a surprise: it is taken, but not silently.
environment = $(foreach name,$(1),$(if $(filter environment%,$(origin $(name))),\
	$(warning $(name)=$($(name)) is taken from the environment)))

flash: setup ## MicroPython and openkline onto a board (PORT=/dev/..; BOARD=, FIRMWARE=, INTERFACE=: else found or asked)
	$(call environment,PORT BOARD FIRMWARE INTERFACE)
	$(BIN)/openkline flash $(if $(PORT),-d '$(PORT)') $(if $(BOARD),--board '$(BOARD)') \
		$(if $(FIRMWARE),--firmware '$(FIRMWARE)') $(if $(INTERFACE),--interface '$(INTERFACE)')

repl: setup ## MicroPython's prompt on the board, its application told to quit (PORT=sim: on the virtual board)
	$(call environment,PORT)
	$(BIN)/openkline repl $(if $(PORT),-d '$(PORT)')

# Three on two processors: a third of their time is waiting.
test: setup test-obd ## all tests, without a board
	$(BIN)/pytest -n 3 --dist worksteal

test-obd: setup $(OBD)/.stamp ## python-OBD as user of our ELM327, and its decoders beside ours, in an environment of its own
	$(OBD)/bin/python -m pytest -c tests/obd_oracle/pytest.ini tests/obd_oracle -n 3 --maxschedchunk 1 -m 'not soak'

soak: setup $(OBD)/.stamp ## the long tests (under an hour)
	$(OBD)/bin/python -m pytest -c tests/obd_oracle/pytest.ini tests/obd_oracle -m soak
	$(BIN)/pytest -n 3 --dist worksteal -m soak -v --durations=0 --durations-min=1

bench: setup ## speed, memory and sizes
	$(BIN)/pytest tests/bench tests/host/test_sizes.py -rP

lint: setup $(STUBS)/.stamp ## style, types, import rule, firmware against the ESP32 stubs
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.lint_firmware $(STUBS)/bin/python

deb: setup ## the Debian package, in build/
	$(BIN)/python packaging/build_deb.py build

deb-test: deb ## install it in a clean Debian root, run daemon and unit there (needs root and debootstrap)
	$(BIN)/python packaging/check_deb.py build/openkline_*.deb

newcomer: setup ## docs/newcomer.md anew, from a real session on a virtual board
	$(BIN)/python -m tests.e2e.newcomer

clean: ## remove everything that make made
	rm -rf $(VENV) $(STUBS) $(OBD) build dist .pytest_cache .mypy_cache .ruff_cache
