# Two commands: `make demo` and `make test`. Each sets up all it needs in .venv.
#   PYTHON=python3.12       another interpreter (3.10 to 3.13)
#   JOBS=4                  tests at a time
#   PIP_OPTIONS="..."       for example: --extra-index-url https://download.pytorch.org/whl/cpu

PYTHON ?= python3
PIP_OPTIONS ?=
JOBS ?= 3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_OPTIONS) -c Testing/constraints.txt
SAMPLE := CTSliceSynthesis/Resources/SampleData/ts_body_1p5iso_crop.nrrd

.PHONY: demo test bench screenshots clean

demo: .venv/.engine
	$(BIN)/ctslices evaluate $(SAMPLE) --factor 4 --thickness 1.5 --volumes --out demo

test: .venv/.test
	@$(BIN)/python Testing/debian_packages.py
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n $(JOBS)
	$(BIN)/pytest -n $(JOBS) Testing/harness Testing/lib Testing/packaging

bench: .venv/.test
	$(BIN)/python Testing/benchmarks/speed.py --out Testing/benchmarks/speed.json
	$(BIN)/python Testing/benchmarks/scale.py --out Testing/benchmarks/scale.json
	$(BIN)/python Testing/benchmarks/startup.py --out Testing/benchmarks/startup.json
	$(BIN)/python Testing/benchmarks/training_speed.py --out Testing/benchmarks/training_speed.json

screenshots: demo .venv/.test
	cp demo/picture.png ScreenShots/demo.png
	$(BIN)/python Testing/draw_texture.py
	$(BIN)/python Testing/draw_architecture.py
	$(BIN)/python Testing/draw_screenshots.py

.venv/.engine: pyproject.toml Testing/constraints.txt
	@echo "Setting up .venv: PyTorch is a large download the first time."
	$(PYTHON) -m venv .venv
	$(INSTALL) -e .
	@touch $@

.venv/.test: .venv/.engine
	$(INSTALL) -e '.[test,lint,slicer]'
	@touch $@

clean:
	rm -rf .venv demo
