# Quotawatt. Two commands for a newcomer: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
ARGS   ?=

.PHONY: demo test check lint types imports unit e2e crash mosquitto node fuzz fuzz-exchange lock clean bench-poll \
  bench-simulator bench-mqtt bench-table bench-ledger bench-backlog bench-programs

# A picture needs more than most want to wait for.
demo: $(VENV)/.run $(if $(findstring --plot,$(ARGS)),$(VENV)/.plot)
	$(BIN)/quotawatt demo $(ARGS)

test: check unit e2e

check: lint types imports

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.test
	$(BIN)/mypy

imports: $(VENV)/.test
	$(BIN)/lint-imports

unit: $(VENV)/.test mosquitto node
	$(BIN)/python -m pytest -n 2 tests/unit tests/property tests/component

# These wait for seconds of real time more than they compute: four at a time, each with ports of its own.
e2e: $(VENV)/.test mosquitto
	$(BIN)/python -m pytest -n 4 tests/e2e tests/crash

# A million spoilt answers, and a million bent orders; `make fuzz ARGS="--seed 1"` replays a run.
fuzz: $(VENV)/.test
	$(BIN)/python -m tests.world.fuzz $(ARGS)

# Strange requests for the reference exchange: `make fuzz-exchange ARGS="--examples 5000"`.
fuzz-exchange: $(VENV)/.test
	$(BIN)/python -m tests.world.exchange_fuzz $(ARGS)

# What `make e2e` does of these in small, at full size: three quarters of an hour, most of it waiting for the daemons
# that are killed; `make -j2 crash` on two cores: half an hour. `make crash-kills CYCLES=100` for a look.
CYCLES ?= 1000
.PHONY: crash-kills crash-settlement crash-disk
crash: crash-kills crash-settlement crash-disk

crash-kills: $(VENV)/.test
	rm -rf build/crash
	$(BIN)/python -m tests.world.killed_daemon build/crash --cycles $(CYCLES)

crash-settlement: $(VENV)/.test
	SETTLEMENT_EXAMPLES=500 $(BIN)/python -m pytest -n 0 tests/property/test_settlement_machine.py

crash-disk: $(VENV)/.test
	FAILING_DISK_INTERVAL_S=10800 TORN_LOGS=300 LEDGER_INTERVAL_S=300 $(BIN)/python -m pytest -n 0 \
	  tests/crash/test_failing_disk.py tests/crash/test_torn_log.py tests/component/test_ledger_of_400_days.py

# The daemon in the hands of its broker, a thousand seeds; `make malicious-broker ARGS="--seeds 20"` for a look.
.PHONY: malicious-broker
malicious-broker: $(VENV)/.test
	$(BIN)/python -m tests.world.malicious_broker $(ARGS)

# Its broker three hours away, and ten minutes of flapping; a few minutes for each seed.
.PHONY: broker-outages
broker-outages: $(VENV)/.test
	$(BIN)/python -W ignore -m tests.world.broker_outages $(ARGS)

mosquitto:
	@sh requirements/mosquitto.sh

node:
	@sh requirements/node.sh

# --- what it costs (docs/benchmarks.md): a table, and the same figures in build/bench/ ---

ROWS   ?=
ROUNDS ?=
QUICK  ?=

# All rows take half an hour. `make bench-poll ROWS=saturated QUICK=1` for a look.
bench-poll: $(VENV)/.run bench-programs
	$(BIN)/python -m benchmarks.poll $(ROWS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick) $(ARGS)

bench-simulator: $(VENV)/.run bench-programs
	$(BIN)/python -m benchmarks.simulator $(ARGS)

bench-mqtt: $(VENV)/.run mosquitto
	$(BIN)/python -m benchmarks.mqtt_lane $(ARGS)

.PHONY: bench-commands
# The real daemon over a real mosquitto, five minutes. `make bench-commands ARGS="spread --seconds 5"` for a look.
bench-commands: $(VENV)/.test mosquitto
	$(BIN)/python -m benchmarks.commands $(ARGS)

# Filling the ledger takes two minutes, once. `make bench-backlog ARGS="--days 3"` for a look.
bench-backlog: $(VENV)/.run
	$(BIN)/python -m benchmarks.ledger_backlog $(ARGS)

bench-table: $(VENV)/.run
	$(BIN)/python -m benchmarks.site_table $(ARGS)

# A year of one point: `make bench-ledger ARGS="--days 30"` for a look.
bench-ledger: $(VENV)/.run
	$(BIN)/python -m benchmarks.ledger_verify $(ARGS)

.PHONY: bench-control campaign

SEEDS  ?= 20

# All rows with 20 seeds take two hours; `make bench-control ROWS=steps QUICK=1` for a look.
bench-control: $(VENV)/.plot $(VENV)/.test
	$(BIN)/python -m benchmarks.control $(ROWS) --seeds $(SEEDS) $(if $(QUICK),--quick) --plot $(ARGS)

# A week of the whole daemon, judged second by second: an hour. `make campaign SCENARIO=storm DAYS=0.01 SEEDS=1-20`.
SCENARIO ?= week
DAYS     ?= 7
campaign: $(VENV)/.test
	$(BIN)/python -W ignore -m benchmarks.control.campaign $(SCENARIO) --days $(DAYS) \
	  $(if $(filter command line,$(origin SEEDS)),--seeds $(SEEDS)) $(ARGS)

bench-programs: build/bench/server build/bench/client

build/bench/%: benchmarks/modbus_peer/%.c benchmarks/modbus_peer/wire.h
	@mkdir -p $(@D)
	$(CC) -O2 -Wall -Wextra -Wconversion -Werror -o $@ $< -lm

# --- set-up; a second run reuses it ---

$(VENV)/bin/python:
	@sh requirements/venv.sh $(PYTHON) $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements/run.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.plot: requirements/plot.txt $(VENV)/.run
	$(PIP) install --require-hashes -r requirements/plot.txt
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

# Needs uv; writes hashes and no index address.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
  --no-emit-find-links --extra demo --group hatch
lock:
	$(LOCK) -o requirements/run.txt pyproject.toml
	$(LOCK) --extra plot -c requirements/run.txt -o requirements/plot.txt pyproject.toml
	$(LOCK) --extra plot --group test -c requirements/plot.txt -o requirements/test.txt pyproject.toml

clean:
	rm -rf $(VENV) build dist demo-site

# --- as a service (packaging/, systemd/) ---

.PHONY: deb service-test soak

# dist/quotawatt_VERSION_ARCH.deb with its SBOM and its licences.
deb:
	@packaging/build.sh

# As root: Debian 12 with systemd as PID 1, and the package in it.
service-test: $(VENV)/.test mosquitto
	@tests/service/run.sh $(ARGS)

# Half an hour of real time at 1,000 devices: memory and open files stay flat. `make soak ARGS="--minutes 5"`.
soak: $(VENV)/.test mosquitto
	$(BIN)/python -m tests.world.soak $(ARGS)
