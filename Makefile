# What one can do here. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Vector folder that `make vectors` checks; the project's own copy by default.
VECTORS ?= tests/vectors
# Relays and sessions of `make e2e`.
RELAYS ?= 2000
SESSIONS ?= 3
# Rounds of `make chaos`, and the seed that decides what breaks; a new one each time if empty.
ROUNDS ?= 200
SEED ?=
# Milliseconds from block to block of `make chaos`: a machine that is busy with other things needs more.
BLOCK_TIME ?= 150
# Length of `make soak`.
MINUTES ?= 60
# Any of these shows the status page to its test.
BROWSERS = chromium-headless-shell|chromium|chromium-browser|google-chrome
# All that is run here is built in one profile, so that dependencies are built once.
BINARIES = $${CARGO_TARGET_DIR:-target}/debug

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1\t/' | expand -t 12

.PHONY: tools
tools: redis-server ## Install what the tests need besides Rust (redis-server, a browser without a window, by apt)
	@deploy/install-tools '$(BROWSERS)' || echo "no browser: name one in BROWSER, or leave its tests out with BROWSER=none"

.PHONY: redis-server
redis-server:
	@deploy/install-tools redis-server

.PHONY: build
build: ## Build the release binary, target/release/relay-miner
	cargo build --release --locked --package relay-miner

.PHONY: binaries
binaries:
	cargo build --workspace --bins --locked

.PHONY: demo
demo: redis-server ## Serve, claim and prove relays on a chain in this process, live in the terminal
	cargo run --locked --package relay-miner -- demo

.PHONY: test
test: tools ## Run every test: units, properties, golden vectors, real Redis, the verifying devnet
	cargo test --workspace --locked

.PHONY: schemas
schemas: ## Write docs/schemas anew, after a key of the configuration has changed
	UPDATE_SCHEMAS=1 cargo test --locked --package pocket-config --test operators schema

.PHONY: vectors
vectors: ## Check golden vectors: make vectors VECTORS=DIR
	cargo run --quiet --locked --package pocket-conformance -- $(VECTORS)

.PHONY: e2e
e2e: redis-server binaries ## The whole way on the real chain, for every RPC type (needs Go 1.26): ends with a JSON line
	$(BINARIES)/e2e --chain real --relays $(RELAYS) --sessions $(SESSIONS)

.PHONY: chaos
chaos: redis-server binaries ## Kill, pause, cut off and refuse a fleet for ROUNDS sessions: nothing may be lost (SEED=n repeats)
	$(BINARIES)/chaos --rounds $(ROUNDS) --block-time $(BLOCK_TIME) $(if $(SEED),--seed $(SEED))

.PHONY: soak
soak: redis-server binaries ## The same on the real chain for MINUTES, a kill or a pause each (needs Go 1.26): ends with a JSON line
	$(BINARIES)/soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

IAI_VERSION := $(shell sed -n '/^name = "iai-callgrind"$$/{n;s/version = "\(.*\)"/\1/p}' Cargo.lock)
IAI_RUNNER := $(CURDIR)/target/tools/bin/iai-callgrind-runner

$(IAI_RUNNER):
	cargo install iai-callgrind-runner --version $(IAI_VERSION) --locked --root target/tools

.PHONY: bench
bench: $(IAI_RUNNER) ## Measure: times, instruction counts, and a loopback load beside a raw proxy
	@deploy/install-tools redis-server valgrind
	cargo bench --locked -p pocket-ring --bench ring
	cargo bench --locked -p pocket-protocol --bench relay_hash
	cargo bench --locked -p pocket-smst --bench smst
	cargo bench --locked -p pocket-keys --bench sign
	IAI_CALLGRIND_RUNNER=$(IAI_RUNNER) cargo bench --locked -p pocket-ring --bench ring_instructions
	IAI_CALLGRIND_RUNNER=$(IAI_RUNNER) cargo bench --locked -p pocket-protocol --bench relay_hash_instructions
	IAI_CALLGRIND_RUNNER=$(IAI_RUNNER) cargo bench --locked -p pocket-smst --bench smst_instructions
	cargo bench --locked -p pocket-relayer --bench relays -- loopback
	cargo bench --locked -p pocket-relayer --bench relays -- loopback 10000 8 500
	cargo bench --locked -p pocket-relayer --bench relays -- websocket
	cargo bench --locked -p pocket-relayer --bench relays -- streaming
	cargo bench --locked -p pocket-relayer --bench relays -- grpc

DENY_VERSION := 0.20.2

.PHONY: deny
deny: ## Check what dependencies are allowed, their licences and their sources (deny.toml)
	@command -v cargo-deny >/dev/null || cargo install cargo-deny --version $(DENY_VERSION) --locked
	cargo deny --locked check licenses bans sources

.PHONY: manifests
manifests: ## Write the plain Kubernetes manifests anew from the chart (needs Go 1.26)
	cd tests/kubernetes && go run .

.PHONY: kubernetes
kubernetes: ## Check chart, manifests and Tiltfile (needs Go 1.26)
	cd tests/kubernetes && go vet ./... && go test -count=1 ./...

.PHONY: load
load: redis-server ## Hold ten thousand idle WebSockets open and report a relayer's memory (needs 20,000 open files)
	cargo test --locked -p pocket-relayer --test crowds -- --ignored --exact --nocapture \
		ten_thousand_idle_websockets_cost_little_and_disturb_nobody

.PHONY: lint
lint: ## Formatting, clippy and documentation, with warnings as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

.PHONY: ci
ci: ## What the continuous integration runs
	.ci/run
