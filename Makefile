# Everything here works on a fresh clone with Go, Python 3, Node and make. Each target sets up what it needs.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON  ?= python3
VENV    := .venv
PY      := $(VENV)/bin/python
BIN     := bin
LDFLAGS := -s -w
GO_PKGS := ./...

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: build python js ## gateway on 127.0.0.1:8000 with the examples, an echo upstream and a plugin server per language
	exec $(BIN)/outrigger run --settings examples/outrigger.yaml --config examples/gateway.yaml

.PHONY: build
build: kits ## bin/outrigger with the SDK packages inside, and the Go example plugin server
	go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/outrigger ./host/cmd/outrigger
	go build -trimpath -ldflags '-s -w' -o $(BIN)/examples-go ./examples/go

.PHONY: python
python: $(VENV)/.ready ## Python venv with the SDK

$(VENV)/.ready: sdk-python/requirements-dev.txt sdk-python/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r sdk-python/requirements-dev.txt
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e sdk-python
	touch $@

.PHONY: js
js: sdk-js/node_modules/.ready sdk-js/dist/.ready examples/js/node_modules/.ready ## JavaScript SDK, built, and the examples that use it

sdk-js/node_modules/.ready: sdk-js/package-lock.json
	cd sdk-js && npm ci --no-audit --no-fund --loglevel=error
	touch $@

sdk-js/dist/.ready: sdk-js/node_modules/.ready $(shell find sdk-js/src sdk-js/tsconfig*.json -type f 2>/dev/null)
	cd sdk-js && npm run --silent build
	touch $@

examples/js/node_modules/.ready: examples/js/package-lock.json sdk-js/dist/.ready
	cd examples/js && npm ci --no-audit --no-fund --loglevel=error
	touch $@

# The packages that `outrigger plugin new` installs from: embedded by host/internal/authoring. Each is made again when its sources changed.
KITS := host/internal/authoring/kits

.PHONY: kits
kits: $(KITS)/.wheel $(KITS)/.tarball $(KITS)/.module ## SDK packages that bin/outrigger carries

$(KITS)/.wheel: $(VENV)/.ready $(shell find sdk-python/src sdk-python/README.md -type f -not -name '*.pyc' 2>/dev/null)
	rm -f $(KITS)/*.whl
	cd sdk-python && ../$(PY) -m hatchling build --target wheel --directory ../$(KITS)
	touch $@

$(KITS)/.tarball: sdk-js/dist/.ready sdk-js/package.json sdk-js/README.md $(wildcard sdk-js/bin/*)
	rm -f $(KITS)/*.tgz
	cd sdk-js && npm pack --silent --pack-destination ../$(KITS)
	touch $@

$(KITS)/.module: go.mod go.sum LICENSE $(shell find pdk proto host/internal/authoring/modulekit -name '*.go' -not -name '*_test.go' 2>/dev/null)
	go run ./host/internal/authoring/modulekit $(KITS)/outrigger-go.zip
	touch $@

.PHONY: test
test: lint fresh test-go test-python test-js conformance test-examples test-faults ## all tests: linters, generated code, Go with -race, Python, JavaScript, across languages

.PHONY: test-go
test-go: build
	go vet $(GO_PKGS)
	GOOS=darwin go build ./pdk/... # plugins are written on other systems too
	go test -race -shuffle=on -timeout 10m $$(go list $(GO_PKGS) | grep -v -e /examples$$ -e /conformance$$)
	cd bench/peers && go vet ./... && go test ./...

.PHONY: test-python
test-python: python
	cd sdk-python && ../$(PY) -m pytest -q

.PHONY: test-js
test-js: js
	cd sdk-js && npm test --silent
	cd examples/js && npm test --silent

.PHONY: conformance
conformance: python js ## the PDK's vectors through every language, carrier and test kit: a table
	go build -trimpath -o $(BIN)/conformance ./host/cmd/conformance
	go build -trimpath -o $(BIN)/conformance-go ./pdk/conformance/server
	go test -race -count=1 -timeout 10m ./host/internal/conformance
	$(BIN)/conformance
	$(BIN)/conformance -fused

.PHONY: test-examples
test-examples: build python js ## the examples of all languages behind the real gateway
	go test -race -count=1 -timeout 20m ./examples

.PHONY: replace-100
replace-100: build python js ## plugin servers of each language, over both carriers, are replaced 100 times under load: no request may fail
	OUTRIGGER_REPLACEMENTS=100 go test -race -count=1 -timeout 60m -v -run 'TestReplacementsUnderLoad' ./examples

.PHONY: lint
lint: python js ## formatters, linters and type checkers of all languages
	@test -z "$$(gofmt -l host pdk plugins proto examples bench | grep -v /gen/)" || { gofmt -l host pdk plugins proto examples bench; exit 1; }
	go vet $(GO_PKGS)
	cd .ci/tools && GOBIN=$(CURDIR)/build/tools/bin go install honnef.co/go/tools/cmd/staticcheck
	build/tools/bin/staticcheck $(GO_PKGS)
	cd bench/peers && $(CURDIR)/build/tools/bin/staticcheck ./...
	cd sdk-python && ../$(VENV)/bin/ruff check --config pyproject.toml . ../examples/python ../bench/chaos/plugins/python ../bench/faults/plugins/python ../bench/plugins/python ../bench/baselines && ../$(VENV)/bin/ruff format --config pyproject.toml --check . ../examples/python ../bench/chaos/plugins/python ../bench/faults/plugins/python ../bench/plugins/python ../bench/baselines && ../$(VENV)/bin/pyright
	cd sdk-js && npm run --silent lint

.PHONY: generate
generate: python js ## generated code from proto/
	proto/generate.sh
	go run ./proto/cmd/pdkgen

GENERATED := proto/gen sdk-python/src/outrigger/_gen sdk-js/src/gen docs/pdk $(wildcard pdk/*_gen.go)

.PHONY: fresh
fresh: python js ## fails when make generate would change something; what it changed stays (Go passes over build/.fresh)
	rm -rf build/.fresh
	mkdir -p build/.fresh
	tar cf - $(GENERATED) | tar xf - -C build/.fresh
	$(MAKE) --no-print-directory generate
	for path in $(GENERATED); do diff -r -x __pycache__ build/.fresh/$$path $$path; done

.PHONY: bench
bench: build ## the cost of plugins, in about twenty minutes: tables and charts in bench/results/; BENCH_ARGS adds flags
	$(BIN)/outrigger bench $(BENCH_ARGS)

.PHONY: bench-quick
bench-quick: build ## the same in two minutes, roughly
	$(BIN)/outrigger bench --quick $(BENCH_ARGS)

.PHONY: chaos
chaos: chaos-programs ## faults under load, in three languages over both carriers: about five minutes, a table in build/chaos/
	$(BIN)/chaos $(CHAOS_ARGS)

.PHONY: soak
soak: chaos-programs ## SOAK=1h of load with a random fault every second; SEED=n repeats one
	$(BIN)/chaos --soak $(or $(SOAK),1h) --seed $(or $(SEED),0) $(CHAOS_ARGS)

.PHONY: faults
faults: faults-programs ## FAULTS=10m of misbehaving upstreams and clients, killed plugin servers, reloads and upgrades: a table in build/faults/
	$(BIN)/faults --time $(or $(FAULTS),1m) $(FAULTS_ARGS)

.PHONY: test-faults
test-faults: faults-programs ## the same for a moment
	$(BIN)/faults --time 12s --out build/faults-short

.PHONY: faults-programs
faults-programs: build python js
	go build -trimpath -o $(BIN)/faults ./bench/faults
	go build -trimpath -o $(BIN)/faults-go ./bench/faults/plugins/go

.PHONY: chaos-programs
chaos-programs: build python js
	go build -trimpath -o $(BIN)/chaos ./bench/chaos
	go build -trimpath -o $(BIN)/chaos-go ./bench/chaos/plugins/go

.PHONY: wire-diff
wire-diff: ## tables in build/wire-diff: what this gateway, nginx and HAProxy make of hostile requests and responses
	mkdir -p build/wire-diff
	OUTRIGGER_WIRE_DIFF=$(CURDIR)/build/wire-diff go test -count=1 -timeout 20m -run BesideOthers ./host/internal/proxy ./host/internal/wirecorpus/...

.PHONY: fuzz
fuzz: python js ## FUZZ_TIME=20s of changed inputs for the decoders of each language; FUZZ_SEED=n repeats a run
	FUZZ_TIME=$(or $(FUZZ_TIME),20s) FUZZ_SEED=$(FUZZ_SEED) .ci/fuzz

.PHONY: ci
ci: test fuzz chaos ## what .ci/run runs

.PHONY: clean
clean: ## remove what the other targets made
	rm -rf $(BIN) build $(VENV) sdk-js/node_modules sdk-js/dist examples/js/node_modules
	rm -f $(KITS)/*.whl $(KITS)/*.tgz $(KITS)/*.zip $(KITS)/.wheel $(KITS)/.tarball $(KITS)/.module
