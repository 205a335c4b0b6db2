# Everything there is to do in a checkout. Needed: Python 3.11 or later with venv, make, and a package index for pip.
#
#   make demo     watch a simulated cluster being upgraded and brought back
#   make demo-winrm   the same over WinRM, against played Windows hosts: under Wine by the engine PWSH_WINDOWS, else by PWSH or pwsh on PATH
#   make test     everything that passes or fails; the last line counts it
#   make lint     the linters and type checks only
#   make lines    which lines of the PowerShell scripts no test runs; brings tests/conformance/missed.toml up to date
#   make sanity   ansible-test sanity on the built and installed collection
#   make bench    how fast backups and restores are, against zip and unzip, and with PWSH (or pwsh on PATH) the scripts against .NET's ZipFile
#   make build    the artifact, in dist/
#   make venv     the environment .venv with all tools
#   make clean    remove what the others made
#
# Another Python: make PYTHON=/path/to/python3.12 …

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo demo-winrm test lint lines sanity bench build venv run-venv clean

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$python"; break; }; done)
ifeq ($(strip $(PYTHON)),)
$(error No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python3.12 …)
endif

# Ansible wants a UTF-8 locale
ifneq ($(filter C POSIX,$(LC_ALL)),)
export LC_ALL := C.UTF-8
endif

CHECK := $(PYTHON) tests/tools/check.py

help:
	@sed -n 's/^#   //p' Makefile

demo: run-venv
	@.venv/bin/python tests/simulator/demo.py

demo-winrm:
	@$(PYTHON) tests/tools/venvs.py windows
	@.venv/bin/python tests/simulator/demo.py --winrm

test:
	@$(CHECK)

lint:
	@$(CHECK) --only ruff,format,mypy,yamllint,ansible-lint,changelog,shell

lines:
	@$(CHECK) --only conformance
	@$(PYTHON) tests/tools/script_lines.py --update

sanity:
	@$(CHECK) --only 'sanity*'

bench:
	@$(PYTHON) tests/tools/venvs.py bench
	@.venv/bin/python tests/bench/bench.py

build: run-venv
	@mkdir -p dist
	@.venv/bin/ansible-galaxy collection build --force --output-path dist

venv:
	@$(PYTHON) tests/tools/venvs.py test

run-venv:
	@$(PYTHON) tests/tools/venvs.py run

clean:
	rm -rf .venv .venv-* .cache .ansible .hypothesis .pytest_cache .mypy_cache .ruff_cache dist tests/output demo-*
	find . -name __pycache__ -type d -not -path './playbooks/collections/*' -prune -exec rm -rf {} +
