# make prints help; demo and test need Go and an OpenSSH client, nothing else.
GO   ?= go
TOOL := $(GO) tool -modfile=tools/go.mod

.PHONY: help build man demo demo-any test faults check format vet lint fuzz tidy docs bench chaos compat vulncheck dist clean
.DEFAULT_GOAL := help

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

build: ## build bin/norestart and bin/hello
	$(GO) build -trimpath -o bin/ ./cmd/norestart ./examples/hello

man: build ## write the manual pages into bin/man
	@bin/norestart man bin/man

demo: build ## start a cluster and log in to it
	@$(GO) run ./examples/hello/demo bin

demo-any: build ## the same with programs in Python and JavaScript
	@sh examples/any/demo.sh bin

test: ## run all tests
	@{ $(GO) test -race -timeout 60m ./...; echo "status $$?"; } 2>&1 | awk -f tools/failed.awk

faults: ## kill the primary at every point of what it does (test: at most of them)
	FAULTS=all $(GO) test ./internal/e2e -run 'TestFaults' -v -count=1

check: format vet lint tidy test fuzz ## what CI runs

format:
	@test -z "$$($(TOOL) gofumpt -l . | tee /dev/stderr)" || { echo "run: go tool -modfile=tools/go.mod gofumpt -w ."; exit 1; }

vet:
	$(GO) vet ./...
	$(GO) vet -tags compat ./examples/hello
	cd tools/mail && $(GO) vet .
	GOOS=darwin $(GO) vet ./control ./commands ./internal/commandline ./certs ./client ./cmd/norestart

lint:
	$(TOOL) staticcheck ./...

# A number of runs, not a time: go test -fuzztime 5s fails now and then with
# "context deadline exceeded" when the time ends within a run (golang.org/issue/75804).
FUZZTIME ?= 50000x
fuzz: ## fuzz each parser, FUZZTIME runs (or 10m)
	@grep -rl --include='*_test.go' '^func Fuzz' . | while read -r f; do \
	  grep -o '^func Fuzz[A-Za-z0-9_]*' "$$f" | cut -d' ' -f2 | while read -r name; do \
	    echo "$$name $$(dirname $$f)"; \
	    $(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x -parallel 2 "$$(dirname $$f)" || exit 1; \
	  done || exit 1; done

tidy:
	$(GO) mod tidy -diff
	cd tools && $(GO) mod tidy -diff
	cd tools/mail && $(GO) mod tidy -diff

docs: ## write docs/commands.md, the keys of docs/config.md and the JSON Schema anew
	$(GO) test ./internal/commandline -run TestDocsAreCurrent -update
	$(GO) test ./internal/config -run TestDocsAreCurrent -update

bench: ## measure the rows of docs/benchmarks.md
	$(GO) run ./internal/bench
	cd tools/mail && $(GO) run .

CHAOS ?= 5m
chaos: ## do everything bad to a cluster under load, for CHAOS (5m, or 1h)
	$(GO) run ./internal/chaos -for $(CHAOS) $(if $(SEED),-seed $(SEED))

compat: ## other ssh clients, scanners, a password guesser against the admin port; as root on Debian it installs them
	@sh tools/compat
	$(GO) test -tags compat -count=1 -run '^TestCompat$$' ./examples/hello

vulncheck: ## look up what is imported in the database of known holes (VULNDB=file:///DIR without a network)
	@sh tools/vulncheck

dist: ## static programs and Debian packages for amd64 and arm64 into dist/
	@mkdir -p dist
	@sh tools/dist amd64 arm64

clean: ## remove what build made
	rm -rf bin dist
