# Every command of the house; CI calls only these. Needs git, make and Python 3.11 or newer, nothing else.
# The tools live in $(VENV), which is made again when the pinned requirements, a wheel's metadata or Python change.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

# Compiled files are kept, whatever the environment says (images often forbid them): without, each process of each test
# compiles our sources, and pytest rewrites its tests, anew.
unexport PYTHONDONTWRITEBYTECODE

PINS := requirements/dev.txt worker_image/pyproject.toml operator/pyproject.toml
STAMP := $(VENV)/.installed-$(shell { $(PYTHON) --version 2>&1; cat $(PINS); } | cksum | cut -d ' ' -f 1)

# What tests write, the stores of hundreds of nats-servers above all, lies in memory where there is room for it: file
# systems took half of their time. A server that is killed finds what it wrote there as it would on a disk.
ROOMY := $(shell df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 == "tmpfs" && $$4 >= 4000 { print "/dev/shm" }')
ifneq ($(ROOMY),)
export PYTEST_DEBUG_TEMPROOT ?= $(ROOMY)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

##@ The main commands

.PHONY: demo test
demo: page ## 200 jobs on a real nats-server, a worker killed in the middle, the proof, and the page (Ctrl-C ends it)
	$(BIN)/python examples/quickstart/demo.py

test: checks unit conformance integration faults-short ## Everything that must hold (REQUIRE_ALL=1: a skipped test is a failure)

# What is one process each, beside each other. What each prints comes in one piece, where make can do that (from 4.0 on).
BESIDE := @$(MAKE) --no-print-directory $(if $(filter output-sync,$(.FEATURES)),--output-sync)
.PHONY: checks
checks: $(STAMP) $(VENV)/.chart
	$(BESIDE) -j2 types chart check-page lint imports

##@ The parts of test

.PHONY: lint types imports unit
lint: $(STAMP) ## Rules and format (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## Types (mypy, strict)
	$(BIN)/mypy

imports: $(STAMP) ## Which module may import which (import-linter)
	$(BIN)/lint-imports --no-logo

# RETRY=1 (as CI says): what failed is tried once more, alone, and both runs are printed, where servers, browsers and
# clusters share few cores and may be late. Only after a run that came to its end (1): one that broke off left out the rest.
again = $(if $(RETRY), || { [ $$? = 1 ] || exit 1; printf '\n=== once more and alone: what failed\n'; \
	$(1) --last-failed --last-failed-no-failures none; })

# Plain processes, each of which collects its part alone, cost half of what xdist's do for as many small tests. What
# unit-worker runs waits a third of its time; each takes about as long as the others.
.PHONY: unit-sdk unit-worker unit-operator
UNIT := $(PYTEST) -q -p no:xdist -p no:pytest-kind $(if $(MAKE_TERMOUT),--color=yes)
UNIT_SDK := $(addprefix tests/unit/,bus cli client ledger protocol testing)
UNIT_WORKER := $(addprefix tests/unit/,reconcile worker)
UNIT_OPERATOR := tests/unit $(addprefix --ignore=,$(UNIT_SDK) $(UNIT_WORKER))
unit: $(STAMP) ## Tests without any I/O of ours, in three processes beside each other (CI=1: three times as many examples of each property)
	$(BESIDE) -j3 unit-operator unit-worker unit-sdk

unit-sdk: $(STAMP)
	$(UNIT) $(UNIT_SDK)

unit-worker: $(STAMP)
	$(UNIT) $(UNIT_WORKER)

unit-operator: $(STAMP)
	$(UNIT) $(UNIT_OPERATOR)

.PHONY: chart snapshots
chart: $(VENV)/.chart ## The Helm chart: rendered, linted, validated, its NATS users on a real nats-server
	$(PYTEST) tests/chart

snapshots: $(VENV)/.chart ## What the chart renders, anew (look at the difference)
	UPDATE_SNAPSHOTS=1 $(PYTEST) -q tests/chart/test_render.py

# For tests that wait for servers more than they compute: twice as many processes as two cores would ask for.
WAITING := -n 4 --dist worksteal
CONFORMANCE := -m "not cluster" tests/conformance
INTEGRATION := -p no:pytest-kind tests/integration

.PHONY: conformance integration
conformance: $(STAMP) ## Each port's suite on every adapter, on a real nats-server
	$(PYTEST) $(WAITING) $(CONFORMANCE)$(call again,$(PYTEST) $(CONFORMANCE))

integration: $(STAMP) ## Worker, client, command line and examples, on a real nats-server
	$(PYTEST) $(WAITING) $(INTEGRATION)$(call again,$(PYTEST) $(INTEGRATION))

##@ The page

.PHONY: page check-page browser
page: $(STAMP) ## The dashboard's files, made anew where a source changed
	$(BIN)/python operator/hatch_build.py

check-page: page ## Its types, its pure parts, its weight (TypeScript, vitest)
	cd operator/ui && PATH="$$PATH:$(abspath $(BIN))" npm run --silent check && PATH="$$PATH:$(abspath $(BIN))" npm test --silent
	$(PYTEST) -q tests/unit/gateway/test_dashboard.py

browser: page $(VENV)/.browser ## The dashboard in a real Chromium on a real gateway (Debian: apt-get install chromium)
	$(PYTEST) tests/browser $(PYTEST_OPTIONS)$(call again,$(PYTEST) tests/browser $(PYTEST_OPTIONS))

##@ Beyond test

.PHONY: check-fields
check-fields: $(STAMP) ## Each field of each CRD names a test of what it does, which ran and passed
	@rm -f build/fields.json
	$(PYTEST) -q $(WAITING) -m "field and not cluster" tests/unit tests/conformance tests/integration
	$(if $(JETMILL_TEST_KUBECONFIG),$(PYTEST) -q -m "field and cluster" tests/cluster)
	cd tests && ../$(BIN)/python -m support.fields ../build/fields.json

.PHONY: tell-fields
tell-fields: $(STAMP) ## The same of the tests that ran already: after `make test` nothing is run twice
	cd tests && ../$(BIN)/python -m support.fields ../build/fields.json

API_TIER = -m "cluster and not (disruptive or soak)" tests/cluster tests/conformance --keep-cluster $(PYTEST_OPTIONS)
POD_TIER = -m "(e2e or disruptive) and not soak" tests/cluster tests/e2e --keep-cluster $(PYTEST_OPTIONS)
SHORT_TIER = -m "(cluster or e2e) and not soak" $(addprefix tests/cluster/test_,crd.py gitops.py lease.py refusals.py rights.py) \
	$(addprefix tests/e2e/test_,install.py three_kinds.py upgrade.py) $(PYTEST_OPTIONS)

# Tests of the API have a namespace and an operator of their own each, and wait more than they compute. What takes down
# a part of the cluster, or has the chart's one operator for all of it, comes after them. The cluster serves both parts.
.PHONY: test-cluster test-cluster-api test-cluster-pods
test-cluster: test-cluster-api test-cluster-pods ## On a real Kubernetes: JETMILL_TEST_KUBECONFIG, else pytest-kind (Docker and kind; the cluster stays)

test-cluster-api: $(VENV)/.chart ## Its part without pods: the operator as a process against the API
	$(PYTEST) -n 3 --dist worksteal $(API_TIER)$(call again,$(PYTEST) $(API_TIER))

test-cluster-pods: $(VENV)/.chart ## Its part with pods, and the API server killed
	$(PYTEST) $(POD_TIER)$(call again,$(PYTEST) $(POD_TIER))

.PHONY: test-cluster-short
test-cluster-short: $(VENV)/.chart ## The same in short: what a user sees, from install to uninstall, and the refusals of the API
	$(PYTEST) $(SHORT_TIER)$(call again,$(PYTEST) $(SHORT_TIER))

.PHONY: soak
soak: $(VENV)/.chart ## What takes many minutes there: 504 long jobs through many steps down, 1,000 Jobs, 10,000 schedules (figures at the end)
	$(PYTEST) -m soak $(wildcard tests/cluster tests/e2e tests/faults) $(PYTEST_OPTIONS)

.PHONY: mutants bench
mutants: $(STAMP) ## Take each rule of the protocol out of a copy: its test must fail
	$(BIN)/python tests/mutants/run.py

bench: $(VENV)/.bench ## Speed against peers in one run (PostgreSQL from Debian), into build/bench/queue.json
	cd tests && ../$(BIN)/python -m benchmarks.queue $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: bench-gateway
bench-gateway: $(STAMP) ## The gateway with a million jobs, into build/bench/gateway.json (JOBS=, ROUNDS=, FILE=build/jobs.db: kept)
	cd tests && ../$(BIN)/python -m benchmarks.projection $(if $(JOBS),--jobs $(JOBS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(FILE),--file $(FILE))
	cd tests && ../$(BIN)/python -m benchmarks.gateway_stream

.PHONY: bench-webhook
bench-webhook: $(STAMP) ## Webhooks: deliveries a second and what is added to each, into build/bench/webhook.json (COUNT=, RATE=, CONCURRENCY=, SYNC=default)
	cd tests && ../$(BIN)/python -m benchmarks.webhook $(if $(COUNT),--count $(COUNT)) $(if $(RATE),--rate $(RATE)) $(if $(CONCURRENCY),--concurrency $(CONCURRENCY)) \
		$(if $(SYNC),--sync $(SYNC))

.PHONY: bench-event
bench-event: $(STAMP) ## Events: published and turned into jobs a second, beside nats-py, into build/bench/event.json (COUNT=)
	cd tests && ../$(BIN)/python -m benchmarks.event $(if $(COUNT),--count $(COUNT))

.PHONY: faults faults-short
faults: $(STAMP) ## Kill workers (ROUNDS=100 times), nats-server (a fifth as often), connections; prove that nothing is lost
	ROUNDS=$(or $(ROUNDS),100) $(PYTEST) -n 2 -m "not soak" tests/faults

faults-short: $(STAMP) ## The same in short: each phase at least once
	ROUNDS=$(or $(SHORT_ROUNDS),5) $(PYTEST) $(WAITING) -m "not slow and not soak" tests/faults

##@ Images

DOCKER ?= docker
TAG ?= dev
IMAGE_PREFIX ?= jetmill
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' worker_image/pyproject.toml)
# The commit's own time: the same commit gives the same labels.
IMAGE_ARGS = --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD) \
	--build-arg CREATED=$(shell git log -1 --format=%cI) \
	$(foreach name,PYTHON_IMAGE NODE_IMAGE PIP_INDEX_URL PIP_TRUSTED_HOST NPM_CONFIG_REGISTRY NODE_EXTRA_CA_CERTS SOURCE,$(if $($(name)),--build-arg $(name)=$($(name))))

.PHONY: images image-worker image-operator
images: image-worker image-operator ## jetmill/operator and jetmill/worker (DOCKER=..., TAG=dev, IMAGE_PREFIX=jetmill)

image-worker: ## jetmill/worker alone
	$(DOCKER) build -f worker_image/Dockerfile -t $(IMAGE_PREFIX)/worker:$(TAG) $(IMAGE_ARGS) .

image-operator: ## jetmill/operator alone
	$(DOCKER) build -f operator/Dockerfile -t $(IMAGE_PREFIX)/operator:$(TAG) $(IMAGE_ARGS) .

##@ Writing

.PHONY: install format generate docs requirements
install: $(STAMP) ## The development environment in .venv

format: $(STAMP) ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(STAMP) ## What is made from elsewhere: CRDs and their reference from the models, parts of the chart
	$(BIN)/python crds/generate.py
	$(BIN)/python charts/generate.py

docs: $(VENV)/.docs ## The documentation, into build/docs; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "build/docs/index.html"

COMPILE := pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

requirements: ## Pin requirements/*.in anew (UPGRADE=1: to the newest), with hashes and without addresses
	$(PYTHON) -m venv build/pin
	build/pin/bin/pip install --quiet pip-tools
	cd requirements && for list in dev docs bench chart browser page build worker operator; do \
		env -u PIP_FIND_LINKS ../build/pin/bin/$(COMPILE) $(if $(UPGRADE),--upgrade) --output-file $$list.txt $$list.in || exit 1; \
	done

##@ Around

.PHONY: clean help
clean: ## Remove what was built, and the environment
	rm -rf $(VENV) build dist operator/ui/build operator/ui/node_modules operator/src/jetmill_operator/gateway/page .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## This list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.13 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python has no venv module: on Debian, apt-get install python3-venv"; exit 1; }
	@rm -f $(VENV)/.installed-* $(VENV)/.docs $(VENV)/.bench $(VENV)/.chart $(VENV)/.browser
	$(PYTHON) -m venv $(if $(wildcard $(BIN)/python),$(if $(filter-out $(shell $(PYTHON) --version),$(shell $(BIN)/python --version 2>&1)),--clear)) $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@# The dashboard is built by Node: the machine's, or one from a wheel.
	@$(BIN)/python -c 'import sys; sys.path.insert(0, "operator"); import hatch_build; sys.exit(hatch_build.find_node() is None)' \
		|| $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/page.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e worker_image -e operator
	@touch $@

# requirements/docs.txt, bench.txt, chart.txt, browser.txt: only for the targets that want them.
$(VENV)/.%: requirements/%.txt $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
