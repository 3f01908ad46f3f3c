# Everything a person does with this repository; `make` lists it. Needs make and Python 3.11 or newer, nothing else:
# the first command makes .venv from the hash-locked requirements, the next ones reuse it.

PYTHON ?= python3
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q --require-hashes

# Byte code is kept also where the environment says otherwise, as that of many images does: a service would compile
# itself anew at each start, and every worker of the tests all tests.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help demo test up check bench bench-peers fuzz faults mutants lock wheel sbom image

help:
	@echo 'make demo    tell the story end to end on a real Kafka and PostgreSQL, with evidence at each step;'
	@echo '             COMPOSE=yes tells it on compose.yaml and the image, with a Docker engine'
	@echo 'make up      run everything until Ctrl-C; .local/stack.json says where'
	@echo 'make test    run all tests'
	@echo 'make check   ruff, mypy --strict, import-linter'
	@echo 'make bench   measure, and print the figures'
	@echo 'make bench-peers  measure the relay beside Debezium on the same broker and database; half an hour'
	@echo 'make fuzz    ask everything of every operation, a quarter of an hour at most; SEED=… repeats a run,'
	@echo '             EXAMPLES=… says how many random requests of each'
	@echo 'make faults  kill, stop and cut off everything under load, 100 times, and account for every item; KILLS=… SEED=…'
	@echo 'make mutants put defects into a copy of the sources, and see that the faults or a test catch each; an hour'
	@echo 'make image   build the image of all services; IMAGE=… names it, BASE=… is what it stands on'
	@echo 'make sbom    write the bill of materials of the image into dist/'
	@echo 'make wheel   build the contracts for upstream services into dist/'
	@echo 'make lock    resolve the dependencies of pyproject.toml anew into requirements.lock, and those of the image'
	@echo
	@echo 'Kafka and PostgreSQL come from the environment (PORTFOLIO_BUS_STACK_KAFKA, PORTFOLIO_BUS_STACK_POSTGRES),'
	@echo 'else from Docker, else from processes of this machine. PYTHON=… chooses the Python for .venv.'

demo: .venv/.ready
	@$(BIN)/python -m deploy.local.demo $(if $(COMPOSE),--compose)

up: .venv/.ready
	@$(BIN)/python -m deploy.local up

test: .venv/.ready
	$(BIN)/python -m pytest tests

check: .venv/.ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.ready
	@$(BIN)/python -m deploy.local.bench

bench-peers: .venv/.ready
	@$(BIN)/python -m deploy.local.bench.peers

fuzz: .venv/.ready
	@$(BIN)/python -m deploy.local.fuzz $(if $(SEED),--seed $(SEED)) $(if $(EXAMPLES),--examples $(EXAMPLES))

faults: .venv/.ready
	@$(BIN)/python -m deploy.local.faults $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ONLY),--only $(ONLY)) $(if $(AT),--at $(AT)) $(if $(BROKERS),--brokers $(BROKERS)) \
		$(if $(VICTIMS),--victims $(VICTIMS)) $(if $(DELIVERIES),--deliveries $(DELIVERIES))

mutants: .venv/.ready
	@$(BIN)/python -m deploy.local.faults.mutants $(NAMES)

wheel: .venv/.ready
	@cd deploy/contracts && $(CURDIR)/$(BIN)/python -m hatchling build -t wheel -d $(CURDIR)/dist

image:
	docker build -f deploy/image/Dockerfile $(if $(BASE),--build-arg BASE=$(BASE)) -t $(or $(IMAGE),portfolio-bus) .

# From the lock that the image is built from: what it names is what is installed, hash for hash.
sbom: .venv/.ready
	@mkdir -p dist
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements deploy/image/requirements.lock --pyproject pyproject.toml \
		--mc-type application --output-reproducible -o dist/sbom.json
	@echo dist/sbom.json

lock: .venv/.ready
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header -q -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --constraint requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q -o deploy/image/requirements.lock

# uv, from the same lock, takes a fifth of the time that pip does; where it cannot fetch, because only pip knows of a
# mirror for example, pip does it, or says what is wrong.
# The stamp comes last: an installation that was broken off is taken up again by the next command.
.venv/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: name another one, as in make PYTHON=python3.12"; \
		exit 1; }
	@echo 'Preparing .venv with the locked dependencies (only this once, about a minute) …'
	@$(PYTHON) -m venv .venv || { echo "'$(PYTHON)' has no venv module: install it (Debian: python3-venv)"; exit 1; }
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock >.venv/uv.lock
	@$(PIP) -r .venv/uv.lock
	@$(BIN)/uv pip install --python $(BIN)/python -q --compile-bytecode --require-hashes -r requirements.lock \
		2>.venv/uv.log || $(PIP) -r requirements.lock
	@touch .venv/.ready
