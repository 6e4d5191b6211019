# Every target makes what it needs: `make run` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
OUT ?= runs/default
ENSEMBLE ?= runs/ensemble
JOBS ?= 2

# Developers keep the public images beside the repository; anyone may set DERMOSCOPE_DATA instead.
ifneq ($(wildcard ../shared/data),)
export DERMOSCOPE_DATA ?= $(abspath ../shared/data)
endif

.PHONY: help setup demo run test check system train train-ensemble detector install-weights figures reliability docs bench bench-check clean

help: ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "dermoscope needs Python 3.11 or later: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/for-run: $(VENV)/made pyproject.toml constraints.txt weights/pyproject.toml
	@echo "installing dermoscope and the bundled weights (once)"
	@$(PIP) -e '.[serve]' -e ./weights
	@touch $@

$(VENV)/for-development: $(VENV)/for-run
	@echo "installing what training and the tests need (once)"
	@$(PIP) -e '.[train,report,log,serve,postgres,dev]'
	@touch $@

setup: $(VENV)/for-development ## install everything

run: $(VENV)/for-run ## start the web service on the bundled model; with IMAGES=folder classify those and exit
	@$(if $(IMAGES),$(BIN)/dermoscope demo --images "$(IMAGES)",exec $(BIN)/dermoscope serve --no-login $(if $(PORT),--port $(PORT)))

demo: $(VENV)/for-run ## classify a dozen samples with the bundled model and write a page
	@$(BIN)/dermoscope demo $(if $(IMAGES),--images "$(IMAGES)")

test: setup system check ## everything that CI checks; JOBS=1 runs one test after the other
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

check: setup ## style, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

system: setup
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing Chromium for the browser tests (once)" && \
	  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null 2>&1; } || \
	$(BIN)/python -m playwright install chromium >/dev/null 2>&1 || \
	echo "no Chromium, and it cannot be installed here: the browser tests will be skipped"
	@$(BIN)/python -c 'import weasyprint' >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing Pango for reports as PDF (once)" && \
	  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive \
	  apt-get install -y -qq libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 >/dev/null 2>&1; } || \
	echo "no Pango, and it cannot be installed here: the PDF tests will be skipped"
	@ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing libfaketime for the test of the clock (once)" && \
	  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq faketime >/dev/null 2>&1; } || \
	echo "no libfaketime, and it cannot be installed here: the test of a clock that steps back will be skipped"

train: setup ## train the bundled model again (resumes where it was cut); needs DERMOSCOPE_DATA
	$(BIN)/dermoscope train --recipe default --data ham10000 --out $(OUT) --ship $(if $(FULL),--full)

train-ensemble: setup ## train three networks and the ensembles of them that were measured; needs DERMOSCOPE_DATA
	for k in 0 1 2; do \
	  $(BIN)/dermoscope train --recipe short/lite$$k --data ham10000 --out $(ENSEMBLE)/lite$$k && \
	  $(BIN)/dermoscope train --recipe short/lite$$k-joined --data ham10000+isic2017 \
	    --start $(ENSEMBLE)/lite$$k --out $(ENSEMBLE)/joined/lite$$k || exit 1; done
	$(BIN)/dermoscope ensemble $(foreach k,0 1 2,$(ENSEMBLE)/lite$(k)/chosen) --views 4 --out $(ENSEMBLE)/without-isic2017
	$(BIN)/dermoscope ensemble $(foreach k,0 1 2,$(ENSEMBLE)/joined/lite$(k)/chosen) --views 4 --out $(ENSEMBLE)/ensemble

detector: setup ## train the detector of ink and rulers again; needs DERMOSCOPE_DATA
	$(BIN)/python tools/train_detector.py

install-weights: ## make the network of `make train` the bundled one (then: make figures)
	@test -f $(OUT)/bundle/bundle.json || { echo "$(OUT)/bundle is not there: make train first"; exit 1; }
	rm -rf weights/src/dermoscope_weights/default.new
	cp -r $(OUT)/bundle weights/src/dermoscope_weights/default.new
	rm -rf weights/src/dermoscope_weights/default
	mv weights/src/dermoscope_weights/default.new weights/src/dermoscope_weights/default

figures: setup ## measure the bundled model and rewrite every figure; needs DERMOSCOPE_DATA
	$(BIN)/dermoscope figures $(if $(wildcard $(OUT)/chosen),--chosen $(OUT)/chosen) $(if $(ELSEWHERE),--elsewhere $(ELSEWHERE)) $(if $(REASON),--reason "$(REASON)")

reliability: setup ## kill, break and load everything, and write docs/reliability.md; PARTS="load faults" for some
	$(BIN)/python tools/reliability.py $(PARTS)

docs: setup ## rewrite the generated reference and build the site into out/site
	@$(BIN)/python tools/reference.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "out/site/index.html"

bench: setup ## time what is claimed to be fast against what one would use instead
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

bench-check: setup ## the same, with a verdict in the last line
	@bad=""; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || bad="$$bad $$script"; done; \
	if [ -z "$$bad" ]; then echo "bench-check: every ratio holds"; else echo "bench-check: NOT as claimed:$$bad"; exit 1; fi

clean: ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache out
