.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# pip and uv, by hash: what installs the lock is locked, too.
BOOTSTRAP := requirements.bootstrap.txt
# The engine and its two libraries. The reference application runs from this folder.
OURS := --editable packages/faststream-sqs --editable packages/latency-failover --editable packages/switchyard-client --editable .
NOT_OURS := --no-emit-package faststream-sqs --no-emit-package latency-failover --no-emit-package switchyard-client \
  --no-emit-package switchyard-engine
# platformdirs warns when the session bus directory is unset, and our tests treat warnings as errors.
export XDG_RUNTIME_DIR ?= $(CURDIR)/.switchyard/run
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}'

.PHONY: env
env: $(READY) ## Create the environment from the lock (everything else does this first)

# The local identity provider and token exchange: an environment of their own, which nothing of ours imports.
IDENTITY_SERVERS := .venv-identity
IDENTITY_LOCK := switchyard/devstack/identity/servers.txt

$(READY): requirements.lock $(BOOTSTRAP) $(IDENTITY_LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Switchyard needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@mkdir -p "$$XDG_RUNTIME_DIR" && chmod 700 "$$XDG_RUNTIME_DIR"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement $(BOOTSTRAP)
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	@# sync leaves the pip and setuptools that came with Python: old ones, and nothing needs setuptools.
	@$(BIN)/uv pip uninstall --quiet --python $(BIN)/python setuptools
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement $(BOOTSTRAP)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps $(OURS)
	@test -x $(IDENTITY_SERVERS)/bin/python || $(BIN)/python -m venv --without-pip $(IDENTITY_SERVERS)
	$(BIN)/uv pip sync --quiet --python $(IDENTITY_SERVERS)/bin/python $(IDENTITY_LOCK)
	@touch $@

# One image per service, and those of the tools: the names in the generated list.
IMAGES = $(shell $(PYTHON) -c 'import json; print(*json.load(open("terraform/generated/images.json")))')
# The function behind the API is packaged like an image, and runs from a zip.
BUILT := $(filter-out ingress,$(IMAGES))

# What `switchyard new` writes has a lock of its own, at the same versions.
SCAFFOLD := switchyard/scaffold/files

.PHONY: lock
lock: ## Resolve pyproject.toml into requirements.lock and docker/requirements again, and what installs and scans them
	for file in requirements.bootstrap .github/pip-audit $(IDENTITY_LOCK:.txt=); do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url $$file.in --output-file $$file.txt || exit 1; done
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --no-emit-index-url $(NOT_OURS) pyproject.toml --output-file requirements.lock
	grep -v ^switchyard-engine $(SCAFFOLD)/requirements.in | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	  --extra console --extra devstack --generate-hashes --no-emit-index-url $(NOT_OURS) --constraint requirements.lock \
	  --no-header --no-annotate pyproject.toml - --output-file $(SCAFFOLD)/requirements.lock
	for image in $(IMAGES); do $(BIN)/uv pip compile --quiet --universal --python-version 3.13 --group $$image \
	  --constraint requirements.lock --no-emit-index-url --no-annotate --no-header $(NOT_OURS) \
	  --output-file docker/requirements/$$image.txt || exit 1; done

SLOW := --timeout=300

.PHONY: wheels
wheels: $(READY) ## Build the wheels of the engine and its two libraries into dist/, for `switchyard new --wheels dist`
	rm -f dist/*.whl
	for project in . packages/faststream-sqs packages/latency-failover; do \
	  (cd $$project && $(CURDIR)/$(BIN)/python -m hatchling build -t wheel -d $(CURDIR)/dist) || exit 1; done

.PHONY: demo
demo: $(READY) ## Run the demo: a stack of its own, 37 questions, 35 emails, the log (no Docker, no account, no key)
	@$(BIN)/switchyard demo $(if $(JSON),--figures $(JSON))

.PHONY: test-new-containers
test-new-containers: NEW := $(CURDIR)/.switchyard/new
test-new-containers: wheels ## What `switchyard new` writes, in containers: images built, every service ready, its API answers (needs Docker)
	rm -rf $(NEW) && mkdir -p $(NEW) && $(BIN)/switchyard new $(NEW)/harbor --wheels dist
	cd $(NEW)/harbor && trap 'docker compose down --volumes --timeout 5' EXIT && docker compose up --build --wait && docker compose ps \
	  && curl --fail --silent --show-error --output /dev/null http://127.0.0.1:18080/v1/openapi.json

.PHONY: compose-up
compose-up: ## The whole stack in docker compose: LocalStack, PostgreSQL, simulators, one container per service
	docker compose up --build --wait

.PHONY: compose-demo
compose-demo: $(READY) compose-up ## The demo against docker compose, from outside; wants a stack without cases
	@$(BIN)/switchyard demo --env compose $(if $(JSON),--figures $(JSON))

.PHONY: keycloak-test
keycloak-test: $(READY) ## Users of Keycloak at the ingress function (Docker; the GitHub workflow runs it)
	docker compose --profile keycloak up --wait keycloak
	$(BIN)/python -m tests.keycloak
	docker compose --profile keycloak rm --stop --force keycloak

.PHONY: compose-traces
compose-traces: export COMPOSE_PROFILES = observability
compose-traces: export SWITCHYARD_OTLP_ENDPOINT = http://collector:4318
compose-traces: compose-demo ## The demo with the collector and Jaeger, which must then have the services' traces
	curl --fail --silent --retry 10 --retry-all-errors http://127.0.0.1:16686/api/services | grep switchyard-router

.PHONY: compose-down
compose-down: ## Stop the docker compose stack and delete its data
	docker compose --profile observability down --volumes
	rm -f docker/clock/shift

.PHONY: lint
lint: $(READY) ## ruff, mypy strict, import rules, generated files, names, prose and imports at start
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m switchyard.app.generate --check
	$(BIN)/python -m switchyard.infra.generate --check
	$(BIN)/python -m tests.lint.names
	$(BIN)/python -m tests.lint.application_words
	$(BIN)/python -m tests.lint.prose
	$(BIN)/python -m tests.lint.start_imports

.PHONY: test-fast
test-fast: $(READY) ## Unit and contract tests: no server, about two minutes
	HYPOTHESIS_PROFILE=fast $(BIN)/pytest tests/unit tests/contract tests/fuzz -m "not slow" -n 2 -q

FUZZ := tests/fuzz tests/unit/compliance/test_hostile_drafts.py tests/unit/text_to_sql/test_guard_fuzz.py \
	tests/unit/text_to_sql/test_guard_properties.py

.PHONY: fuzz
fuzz: $(READY) ## Every parser of foreign bytes, the guard and the rules, on many more hostile inputs than test-fast draws (over an hour)
	HYPOTHESIS_PROFILE=nightly $(BIN)/pytest $(FUZZ) --timeout=3000 -n 2 -q

.PHONY: test-integration
test-integration: $(READY) ## Against the embedded PostgreSQL, ministack and the model simulator
	$(BIN)/pytest tests/integration tests/faststream_sqs -m "not slow" $(SLOW) -n 2 --dist loadfile -q

# In targets whose skipped tests would go unnoticed, a skip is a failure.
NO_SKIPS := -p tests.no_skips

.PHONY: test-containers
test-containers: $(READY) ## The integration and the broker's tests on LocalStack and PostgreSQL in containers (Docker)
	SWITCHYARD_TEST_INFRASTRUCTURE=containers $(BIN)/pytest $(NO_SKIPS) tests/integration tests/faststream_sqs -m "not slow" \
	  $(SLOW) -n 2 --dist loadfile -q

.PHONY: compose-test
compose-test: $(READY) ## The same on docker-compose.yml's containers, then the tests of the whole compose stack (Docker)
	tests/compose/run $(BIN)/pytest $(NO_SKIPS) $(SLOW) -q

.PHONY: test-e2e
test-e2e: $(READY) ## Against the whole stack, every service as its own process
	$(BIN)/pytest tests/e2e -m "not slow" $(SLOW) -q

.PHONY: test
test: $(READY) lint ## Everything that must pass before a change lands (about 20 minutes on 2 cores)
	$(BIN)/pytest tests/unit tests/contract tests/fuzz -m "not slow" -n 2 -q
	@# Both wait more than they compute: together they take little longer than the longer one.
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-integration test-e2e

.PHONY: test-slow
test-slow: $(READY) ## The tests that take longer, and the evals against the simulator
	$(BIN)/pytest tests -m "slow and not alone" $(SLOW) -n 2 --dist loadfile -q
	@# What measures time: nothing else runs beside it.
	$(BIN)/pytest tests -m "slow and alone" $(SLOW) -q
	$(MAKE) --no-print-directory evals

# Playwright drives an installed browser: nothing is downloaded.
CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

.PHONY: test-browser
test-browser: $(READY) ## The console in Chromium: axe, keyboard, narrow and dark, signing in the browser (needs Chromium)
	@test -x "$(CHROMIUM)" || { echo "No Chromium is installed. Remedy: apt-get install chromium, or make CHROMIUM=/path/to/one test-browser"; exit 1; }
	SWITCHYARD_TEST_BROWSER=$(CHROMIUM) $(BIN)/pytest $(NO_SKIPS) tests/integration/console/browser $(SLOW) -q

# LocalStack needs Python 3.13 and older dependencies, so it has an environment of its own.
LOCALSTACK := .venv-localstack
PYTHON313 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python) python3.13)

$(LOCALSTACK)/.ready: tests/faststream_sqs/localstack.txt | $(READY)
	@$(PYTHON313) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null \
	  || { echo "LocalStack 4.14.0 needs Python 3.13, and $(PYTHON313) is not one. Try: make PYTHON313=/path/to/python3.13 test-localstack"; exit 1; }
	@test -x $(LOCALSTACK)/bin/python || $(PYTHON313) -m venv --without-pip $(LOCALSTACK)
	$(BIN)/uv pip sync --quiet --python $(LOCALSTACK)/bin/python $<
	@touch $@

.PHONY: test-localstack
test-localstack: $(LOCALSTACK)/.ready ## The broker's tests on LocalStack 4.14.0 instead of ministack (needs Python 3.13)
	$(BIN)/python -m tests.faststream_sqs.localstack $(BIN)/pytest $(NO_SKIPS) tests/faststream_sqs -m "not slow" $(SLOW) -q

.PHONY: test-broker-conformance
test-broker-conformance: $(READY) ## FastStream's own suites for the broker, from its repository (or FASTSTREAM=/a/checkout; three minutes)
	$(BIN)/python -m tests.faststream_sqs.conformance $(FASTSTREAM)

.PHONY: test-packages
test-packages: $(READY) ## Each library of packages/ alone, from its wheel, on every supported Python of this machine, and the broker's README from a new environment (seven minutes; needs the network)
	$(BIN)/python -m tests.packages
	$(BIN)/python -m tests.newcomer

.PHONY: lock-localstack
lock-localstack: $(READY) ## Resolve tests/faststream_sqs/localstack.in again, as of LocalStack's release
	$(BIN)/uv pip compile --quiet --python-version 3.13 --exclude-newer 2026-03-05 --generate-hashes \
	  --no-emit-index-url tests/faststream_sqs/localstack.in --output-file tests/faststream_sqs/localstack.txt

# The libraries that the broker is compared with stay out of the product's environment.
BENCH_BROKER := .venv-bench-broker

$(BENCH_BROKER)/.ready: bench/broker.requirements.txt pyproject.toml | $(READY)
	@test -x $(BENCH_BROKER)/bin/python || $(PYTHON) -m venv --without-pip $(BENCH_BROKER)
	$(BIN)/uv pip sync --quiet --python $(BENCH_BROKER)/bin/python $<
	$(BIN)/uv pip install --quiet --python $(BENCH_BROKER)/bin/python --no-deps $(OURS)
	@touch $@

.PHONY: bench-broker
bench-broker: $(BENCH_BROKER)/.ready ## Compare the broker with bare aiobotocore, taskiq-aio-sqs and dramatiq-sqs (quarter of an hour)
	$(BENCH_BROKER)/bin/python -m bench.broker $(if $(QUICK),--quick)

.PHONY: lock-bench-broker
lock-bench-broker: $(READY) ## Resolve bench/broker.in again, at the product's own versions
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --override bench/broker.overrides.txt --generate-hashes \
	  --no-emit-index-url bench/broker.in --output-file bench/broker.requirements.txt

SCANNER := .venv-scanner

$(SCANNER)/.ready: .github/pip-audit.txt | $(READY)
	@test -x $(SCANNER)/bin/python || $(PYTHON) -m venv --without-pip $(SCANNER)
	$(BIN)/uv pip sync --quiet --python $(SCANNER)/bin/python --require-hashes $<
	@touch $@

.PHONY: scan-dependencies
scan-dependencies: $(SCANNER)/.ready ## Known vulnerabilities of the locked packages (needs the network)
	for file in requirements.lock $(BOOTSTRAP) terraform/checks.requirements.txt; do \
	  $(SCANNER)/bin/pip-audit --progress-spinner off --require-hashes --disable-pip --requirement $$file || exit 1; done

.PHONY: generate
generate: $(READY) ## Write the JSON Schemas, the AsyncAPI document, the digest vectors and terraform's data again
	$(BIN)/python -m switchyard.app.generate
	$(BIN)/python -m switchyard.infra.generate

.PHONY: evals
evals: $(READY) ## Run the labelled sets: the simulator on both vendors' wires, gated; or MODEL=..., with BASE_URL=...
ifdef MODEL
	$(BIN)/python -m evals all --model $(MODEL) $(if $(BASE_URL),--base-url $(BASE_URL))
else
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target evals-openai evals-bedrock
endif

.PHONY: evals-openai
evals-openai: $(READY)
	$(BIN)/python -m evals all --gate

.PHONY: evals-bedrock
evals-bedrock: $(READY)
	$(BIN)/python -m evals all --vendor bedrock --gate --out .switchyard/evals/bedrock

RAGAS := .venv-ragas

.PHONY: lock-ragas
lock-ragas: $(READY) ## Resolve evals/ragas/ragas.in into evals/ragas/requirements.txt again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url evals/ragas/ragas.in --output-file evals/ragas/requirements.txt

$(RAGAS)/.ready: evals/ragas/requirements.txt $(READY)
	@test -x $(RAGAS)/bin/python || $(PYTHON) -m venv --without-pip $(RAGAS)
	$(BIN)/uv pip sync --quiet --python $(RAGAS)/bin/python evals/ragas/requirements.txt
	@touch $@

.PHONY: evals-ragas
evals-ragas: $(RAGAS)/.ready ## ragas on the assistant's answers, reported only: the simulator, or MODEL=... with BASE_URL=...
	$(BIN)/python -m evals.ragas --python $(RAGAS)/bin/python $(if $(MODEL),--model $(MODEL) --base-url $(BASE_URL))

.PHONY: bench-audit
bench-audit: $(READY) ## Measure the cost per row of the audit log, from the queue to the commit (bench/results/audit.md)
	$(BIN)/python -m bench.audit

GROWTH_ROWS ?= 9000 99000 999000

.PHONY: bench-growth
bench-growth: $(READY) ## What the audit log costs as it grows to a million rows: write, index, verify, ask (quarter of an hour; 4 GB)
	$(BIN)/python -m bench.growth --rows $(GROWTH_ROWS)

.PHONY: bench-growth-small
bench-growth-small: $(READY) ## The same to 63,000 rows: fails if a cost is not flat (two minutes)
	$(BIN)/python -m bench.growth --rows 9000 63000

.PHONY: bench-campaign
bench-campaign: $(READY) ## 400,000 emails, and a tenant beside a flood, simulated from measured costs (bench/results/campaign.md)
	$(BIN)/python -m bench.campaign

BENCH_FAILOVER := .venv-bench-failover

.PHONY: lock-bench-failover
lock-bench-failover: $(READY) ## Resolve bench/failover.in into bench/failover.requirements.txt again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra agent --generate-hashes \
	  --no-emit-index-url $(NOT_OURS) pyproject.toml bench/failover.in --output-file bench/failover.requirements.txt

$(BENCH_FAILOVER)/.ready: bench/failover.requirements.txt $(READY)
	@test -x $(BENCH_FAILOVER)/bin/python || $(PYTHON) -m venv --without-pip $(BENCH_FAILOVER)
	$(BIN)/uv pip sync --quiet --python $(BENCH_FAILOVER)/bin/python bench/failover.requirements.txt
	$(BIN)/uv pip install --quiet --python $(BENCH_FAILOVER)/bin/python --no-deps $(OURS)
	@touch $@

.PHONY: bench-failover
bench-failover: $(BENCH_FAILOVER)/.ready ## Latency failover against LiteLLM, FallbackModel and others (20 minutes; PART=virtual: 3)
	AWS_EC2_METADATA_DISABLED=true LITELLM_LOCAL_MODEL_COST_MAP=True \
	  $(BENCH_FAILOVER)/bin/python -m bench.failover $(PART)

BENCH_CASE := .venv-bench-case

.PHONY: lock-bench-case
lock-bench-case: $(READY) ## Resolve bench/case/case.in into bench/case/requirements.txt again, at the product's own versions
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra agent --group text-to-sql --generate-hashes \
	  --no-emit-index-url --constraint requirements.lock $(NOT_OURS) pyproject.toml bench/case/case.in \
	  --output-file bench/case/requirements.txt

$(BENCH_CASE)/.ready: bench/case/requirements.txt $(READY)
	@test -x $(BENCH_CASE)/bin/python || $(PYTHON) -m venv --without-pip $(BENCH_CASE)
	$(BIN)/uv pip sync --quiet --python $(BENCH_CASE)/bin/python bench/case/requirements.txt
	$(BIN)/uv pip install --quiet --python $(BENCH_CASE)/bin/python --no-deps $(OURS)
	@touch $@

ROUNDS ?= 5

.PHONY: bench-case
bench-case: $(BENCH_CASE)/.ready ## What an answered case costs, beside LangGraph and the bare agents (ROUNDS=5: quarter of an hour)
	$(BIN)/python -m bench.case --rounds $(ROUNDS) $(if $(QUESTIONS),--questions $(QUESTIONS)) --python $(BENCH_CASE)/bin/python

CASES ?= 160
SECONDS ?= 60

.PHONY: chaos
chaos: $(READY) ## Faults of every kind on the local stack, then an independent check (CASES=160 SECONDS=60 SEED=drawn KINDS=all)
	$(BIN)/python -m bench.chaos --cases $(CASES) --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(KINDS),--kinds $(KINDS))

TERRAFORM_CHECKS := .venv-terraform

.PHONY: lock-terraform
lock-terraform: $(READY) ## Resolve terraform/checks.in into terraform/checks.requirements.txt again
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url terraform/checks.in --output-file terraform/checks.requirements.txt

$(TERRAFORM_CHECKS)/.ready: terraform/checks.requirements.txt $(READY)
	@test -x $(TERRAFORM_CHECKS)/bin/python || $(PYTHON) -m venv --without-pip $(TERRAFORM_CHECKS)
	$(BIN)/uv pip sync --quiet --python $(TERRAFORM_CHECKS)/bin/python terraform/checks.requirements.txt
	@touch $@

.PHONY: terraform-check
terraform-check: $(TERRAFORM_CHECKS)/.ready ## Terraform without an account: format, schema, plan of dev and prod, checkov
	@command -v terraform >/dev/null || { echo "terraform is not installed. Remedy: install 1.11 or newer"; exit 1; }
	terraform fmt -check -recursive terraform
	$(BIN)/python -m switchyard.infra.generate --check
	$(BIN)/pytest $(NO_SKIPS) tests/unit/terraform tests/unit/test_runbook.py -q
	$(TERRAFORM_CHECKS)/bin/python -m tests.unit.terraform.provider.rehearse
	rm -rf dist/new && mkdir -p dist/new && $(BIN)/switchyard new dist/new/acme
	$(TERRAFORM_CHECKS)/bin/python -m tests.unit.terraform.provider.rehearse --root dist/new/acme/terraform
	cd terraform && ../$(TERRAFORM_CHECKS)/bin/checkov --config-file .checkov.yaml --directory .

.PHONY: test-task-containers
test-task-containers: $(TERRAFORM_CHECKS)/.ready images ## Each image started with the settings that ECS would give it (Docker, terraform; five minutes)
	@mkdir -p dist
	$(TERRAFORM_CHECKS)/bin/python -m tests.unit.terraform.provider.rehearse --task-definitions dist/task-definitions.json
	SWITCHYARD_TEST_TASK_DEFINITIONS=dist/task-definitions.json $(BIN)/pytest $(NO_SKIPS) tests/task_containers $(SLOW) -q

.PHONY: terraform-validate
terraform-validate: ## terraform validate with the real provider (needs access to the terraform registry)
	@command -v terraform >/dev/null || { echo "terraform is not installed. Remedy: install 1.11 or newer"; exit 1; }
	terraform -chdir=terraform init -backend=false -input=false
	terraform -chdir=terraform validate

.PHONY: provider-schema
provider-schema: $(READY) ## Extract the part of the AWS provider's schema that terraform/ uses from its bindings again
	rm -rf dist/provider && mkdir -p dist/provider
	$(PYTHON) -m pip download --quiet --no-deps --dest dist/provider cdktn-provider-aws==25.8.1
	$(BIN)/python -m tests.unit.terraform.provider.extract dist/provider/*.whl

.PHONY: ingress-package
FUNCTION_PLATFORM ?= aarch64-manylinux2014
ingress-package: $(READY) ## Build the ingress function's zip for AWS Lambda (Python 3.13; FUNCTION_PLATFORM=x86_64-manylinux2014 for X86_64)
	rm -rf dist/ingress dist/ingress.zip && mkdir -p dist/ingress
	$(BIN)/uv pip install --quiet --target dist/ingress --python-version 3.13 --python-platform $(FUNCTION_PLATFORM) \
	  --only-binary :all: --require-hashes --no-deps -r docker/requirements/ingress.txt -c requirements.lock
	$(PYTHON) docker/assemble.py ingress . dist/ingress
	find dist/ingress -name __pycache__ -prune -exec rm -rf {} +
	cd dist/ingress && find . -type f -exec touch -t 202601010000 {} + && zip -qrX ../ingress.zip .
	@ls -l dist/ingress.zip

REVISION ?= dev

.PHONY: images
images: ## Build one image per service; print the size and the number of packages of each (needs Docker)
	@docker version --format 'Docker {{.Server.Version}}' \
	  || { echo "No Docker engine answers. Remedy: install Docker 25 or newer and start it"; exit 1; }
	@for image in $(BUILT); do echo "building switchyard/$$image:$(REVISION)"; \
	  docker build --quiet $$(test $$image != cli || echo --target cli) --build-arg SERVICE=$$image \
	    --build-arg REVISION=$(REVISION) --tag switchyard/$$image:$(REVISION) . >/dev/null || exit 1; done
	@docker/report.sh $(REVISION) $(BUILT)

.PHONY: release
RELEASED = $(filter-out simulators,$(BUILT))
release: ## Build, push by digest and sign the images of an account: REGISTRY, REVISION, ARCHITECTURE (see docker/release.sh)
	@mkdir -p dist && docker/release.sh $(REGISTRY) $(REVISION) $(ARCHITECTURE) $(RELEASED)

.PHONY: format
format: $(READY) ## Format and fix what can be fixed
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

.PHONY: clean
clean: ## Remove the environment and every run
	rm -rf $(VENV) .venv-* .switchyard .mypy_cache .ruff_cache .pytest_cache .hypothesis
