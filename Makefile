# Every chore of the project is one target; `make help` lists them. Needs make and Python >= 3.11, nothing else.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
DEMO_DIR := demo-data
SECONDS := 60
BROKERS := 1

.DEFAULT_GOAL := help
.PHONY: help venv demo run test quick lint sim fuzz perf perf-memory perf-recovery perf-kafka perf-scaling docs proto screenshots kafka-up kafka-down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP) ## make .venv with the project and all that its tests need

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; name one with make PYTHON=…")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(STAMP) ## start the service, load a small graph, show one ego-graph, stop
	$(BIN)/dgs demo

run: $(STAMP) ## the same, and stay until Ctrl-C; the state is kept in demo-data/
	$(BIN)/dgs demo --stay --data-dir $(DEMO_DIR)

test: lint ## everything that has to be green before a commit
	$(BIN)/pytest

quick: lint ## the same without the slow tests
	$(BIN)/pytest -m 'not slow'

lint: $(STAMP) ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

sim: $(STAMP) ## simulate histories full of faults: make sim SEEDS=0-999, or fresh ones: make sim SECONDS=600
	$(BIN)/python -m tests.sim $(if $(SEEDS),--seeds $(SEEDS),--seconds $(SECONDS))

fuzz: $(STAMP) ## fuzz from fresh seeds for a while: make fuzz SECONDS=600
	FUZZ_SECONDS=$(SECONDS) $(BIN)/pytest tests/fuzz -k fresh

docs: $(STAMP) ## generate docs/reference from the code
	$(BIN)/python -m docs.generate

perf: $(STAMP) ## measure everything beside its floor, in about six minutes
	$(BIN)/python -m perf

perf-memory: $(STAMP) ## stream 50 million edges and watch memory and logs
	$(BIN)/python -m perf.memory

perf-recovery: $(STAMP) ## kill and restart a million vertices, and measure checkpoints, in about a quarter of an hour
	$(BIN)/python -m perf.recovery

perf-kafka: $(STAMP) ## measure ingest and freshness through Kafka beside the local bus, in about two minutes
	$(BIN)/python -m perf.kafka

perf-scaling: $(STAMP) ## measure two samplers against one, and two frontends against one, in about four minutes
	$(BIN)/python -m perf.scaling

proto: $(STAMP) ## generate dgs/wire/samples_pb2 from schemas/proto
	@folder=$$(mktemp -d) && $(BIN)/python -m grpc_tools.protoc -Ischemas/proto --python_out=$$folder --pyi_out=$$folder dgs/v1/samples.proto \
		&& cp $$folder/dgs/v1/samples_pb2.py $$folder/dgs/v1/samples_pb2.pyi dgs/wire/ && rm -r $$folder

screenshots: $(STAMP) ## take the pictures of docs/page.md anew; needs Chromium
	$(BIN)/python -m tests.web.screenshots

kafka-up: $(STAMP) ## start a Kafka broker on loopback, or BROKERS=3, and say the URL; needs Java and Maven
	@$(BIN)/python -m tests.kafka up $(BROKERS)

kafka-down: $(STAMP) ## kill what kafka-up has started
	@$(BIN)/python -m tests.kafka down

clean: ## remove caches and the demo's state; .venv stays
	rm -rf $(DEMO_DIR) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
