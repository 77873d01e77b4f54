# The commands of this project; `make help` lists them.
SHELL := /bin/bash
SWIFT_FLAGS := -c release
# One after the other: several tests watch deadlines, and others keep every core busy.
TEST_FLAGS := $(SWIFT_FLAGS) --disable-testable-imports --no-parallel
BIN := .build/release
# Debian packages: what the product needs, what its tests add, and what its benchmarks add.
RUN_PACKAGES := pkg-config g++ libpq-dev libcurl4-openssl-dev librdkafka-dev libsimdjson-dev libsqlite3-dev zlib1g-dev postgresql
TEST_PACKAGES := $(RUN_PACKAGES) kcat chromium prometheus python3 python3-venv openssl procps
BENCH_PACKAGES := $(RUN_PACKAGES) nginx-light wrk python3 python3-venv openjdk-17-jdk-headless
BENCHMARKS := gateway serve decisions stream rollouts loop analyzers

.PHONY: help run build test lint format docs bench $(BENCHMARKS:%=bench-%) clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: packages-run build ## Build and run the whole loop on simulated traffic
	@exec $(BIN)/trimtab demo

build: packages-run ## Build in release
	swift build $(SWIFT_FLAGS) --product trimtab

test: packages-test ## Run every test, on the same release build
	swift build $(SWIFT_FLAGS)
	@swift test $(TEST_FLAGS) 2>&1 | tee .build/tests.log; \
	if [ $${PIPESTATUS[0]} != 0 ]; then echo; echo "Failed:"; grep -A3 ✘ .build/tests.log; exit 1; fi

lint: packages-test ## Check the format and the rules of the house
	swift format lint --strict --parallel --recursive Sources Tests
	swift build $(SWIFT_FLAGS)
	swift test $(TEST_FLAGS) --filter StyleTests

format: ## Write the format
	swift format --in-place --parallel --recursive Sources Tests

docs: build ## Write the generated references anew
	UPDATE_GOLDEN=1 swift test $(TEST_FLAGS) --filter "referenceIsInStep|documentationIsInStep|Documentation"

bench: $(BENCHMARKS:%=bench-%) ## Run every benchmark

$(BENCHMARKS:%=bench-%): packages-bench
	@swift build $(SWIFT_FLAGS) --product trimtab
	@swift build $(SWIFT_FLAGS) --product trimtab-bench
	@$(BIN)/trimtab-bench $(@:bench-%=%)

# DATA: a folder of test data, as in TRIMTAB_TEST_DATA; without it the traffic is simulated.
PICTURES ?= $(if $(DATA),.build/analyzer-pictures,docs/images/analyzers)
.PHONY: analyzer-pictures
analyzer-pictures: packages-bench ## Draw what each analyzer says; DATA=<folder> takes recorded traffic
	@swift build $(SWIFT_FLAGS) --product trimtab-bench
	@$(BIN)/trimtab-bench analyzers --pictures $(PICTURES) $(if $(DATA),--data $(DATA))

clean: ## Remove what was built
	rm -rf .build

# Installs what is missing: as root, through sudo, or else it prints the command and exits 69.
.PHONY: packages-run packages-test packages-bench
packages-run: WANTED = $(RUN_PACKAGES)
packages-test: WANTED = $(TEST_PACKAGES)
packages-bench: WANTED = $(BENCH_PACKAGES)
packages-run packages-test packages-bench:
	@missing=$$(for p in $(WANTED); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done | xargs); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	install="apt-get install -y --no-install-recommends $$missing"; \
	if [ "$$(id -u)" = 0 ]; then sudo=""; \
	elif sudo -n true 2>/dev/null; then sudo="sudo"; \
	else echo "Missing system packages. Run: sudo apt-get update && sudo $$install" >&2; exit 69; fi; \
	echo "Installing $$missing"; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo $$install >/dev/null
