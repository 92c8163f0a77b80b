# Two commands are for everybody: `make run` and `make test`. The rest is for
# working on the code.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)

# What links gVisor, or boots a guest and so needs a binary that does. Vetting or
# race-testing these builds gVisor again, which takes over a minute.
SLOW   = $(shell $(GO) list ./... | grep -E '/cmd/|/e2e$$|/backends/gvisor/runsc$$')
QUICK  = $(shell $(GO) list ./... | grep -Ev '/cmd/|/e2e|/backends/gvisor/runsc$$')

.PHONY: build run check test test-slow mutate bench gate fuzz setup site clean

build: ## bin/bot-bottle, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/bot-bottle ./cmd/bot-bottle

run: build ## the example: an agent that works in a proven sandbox and fails to get out
	@sh examples/first-job/run.sh

setup: ## install what the tests need (apt on Debian as root; else say what is missing)
	@sh tools/setup.sh

check: ## vet, staticcheck, race-enabled tests of all that doesn't link gVisor; no root, under two minutes
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'error: not gofmt-ed'; exit 1; }
	@echo vet && $(GO) vet $(QUICK)
	@echo staticcheck && $(GO) tool staticcheck $(QUICK)
	@echo test -race && $(GO) test -race -short $(QUICK)

test: setup check test-slow ## everything that runs before a change lands

test-slow: build
	CGO_ENABLED=0 $(GO) test ./runner/ledger
	CGO_ENABLED=0 $(GO) test -run Gitleaks ./internal/doors/dlp
	CGO_ENABLED=0 $(GO) test -timeout 20m $(SLOW)
	CGO_ENABLED=0 $(GO) test -timeout 10m ./e2e/smolmachines
	cd bench && $(GO) vet .
	cd e2e/forge && $(GO) vet ./... && $(GO) test -timeout 30m ./...
	CGO_ENABLED=0 $(GO) test -timeout 20m -tags mutation -run Mutation ./...

mutate: ## switch each defence off, and see who notices
	@$(GO) run ./tools/mutate

bench: build ## measure; docs/benchmarks.md says how to read it
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchtime 2s ./internal/doors/egress/
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -benchtime 2s ./internal/dlp/... ./internal/doors/gitgate/ ./internal/scan/
	CGO_ENABLED=0 $(GO) test -run '^$$' -bench . -timeout 20m ./e2e/
	cd bench && $(GO) run . # wants mitmproxy

fuzz: ## a minute for each fuzz target
	@sh tools/fuzz.sh 60s

site: ## the pages of docs as a site, into site/dist; needs Node.js 20 and npm, and follows every link
	cd site && npm ci --ignore-scripts --no-audit --no-fund && rm -rf dist && npm run build

gate: export BOT_BOTTLE_TEST_STARTS := 30
gate: export BOT_BOTTLE_TEST_GATE := 1
gate: test mutate fuzz ## what takes longer; for nightly runs

clean:
	rm -rf bin site/dist site/node_modules
