# Sonde. `make help` lists the targets. Only Go and make are needed for build,
# run and test; race wants gcc, integration and demo want root and the Debian
# packages that .ci/run installs.

GO      ?= go
BIN     := bin/sonde
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
TOOL    := $(GO) tool -modfile=.tools/go.mod
FUZZTIME ?= 3s

export CGO_ENABLED = 0

.DEFAULT_GOAL := build
.PHONY: help build run demo lab test race lint fuzz bench bench-match bench-probe bench-sweep bench-store promises simulation campaign integration crash crash-part cross man package foreign reproducible appliance check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/sonde, static, for this machine
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./daemon

run: build ## run the daemon on its built-in default: loopback only
	$(BIN) run

demo: build ## start, change and stop real servers on loopback and show the events
	daemon/demo/demo.sh

lab: build ## scan a lab of real servers and grade what is named (root, ../shared)
	daemon/demo/lab.sh

test: ## unit tests: no root, no cgo, no network beyond loopback
	$(GO) vet ./...
	$(GO) test ./...

race: ## unit tests under the race detector (needs gcc)
	CGO_ENABLED=1 $(GO) test -race ./...

lint: ## golangci-lint with the pinned version
	$(TOOL) golangci-lint run ./...

# Go's fuzzing at times takes the end of FUZZTIME for a failure of its own, with no
# input to show for it: that is none.
fuzz: ## run each fuzz target for FUZZTIME
	@mkdir -p bin; set -e; for pkg in $$($(GO) list ./...); do \
	  list=$$($(GO) test -list '^Fuzz' $$pkg); \
	  for f in $$(printf '%s\n' "$$list" | grep '^Fuzz' || true); do \
	    echo "fuzz $$pkg $$f"; \
	    $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg > bin/fuzz.log 2>&1 || \
	      { cat bin/fuzz.log; grep -q '^ *context deadline exceeded' bin/fuzz.log || exit 1; \
	        if grep -q 'Failing input' bin/fuzz.log; then exit 1; fi; }; \
	    tail -n 1 bin/fuzz.log; \
	  done; done

bench: ## benchmarks, bench-sweep where there is all it needs; bench-match comes last
	$(GO) test -run '^$$' -bench . -benchmem ./...
	@missing=; [ "$$(id -u)" = 0 ] || missing=' root'; \
	for p in masscan zmap ip nft; do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "bench-sweep is left out, as there is no$$missing"; else $(MAKE) bench-sweep; fi
	$(MAKE) bench-match

integration: build ## tests with real servers, kernels and peers (root, packages of .ci/run)
	.ci/skips $(GO) test -count=1 -v -tags integration -timeout 30m ./...

simulation: ## simulated weeks of true changes among noise: none missed, doubled or false (WEEKS=4)
	SONDE_WEEKS=$${WEEKS:-4} $(GO) test -count=1 -v -timeout 60m -run Truth ./daemon/internal/simulation

campaign: ## the daemon over the lab amid real noise: no change missed, doubled or false (root, ../shared; ROUNDS=3)
	@mkdir -p bin; SONDE_ROUNDS=$${ROUNDS:-3} $(GO) test -count=1 -tags lab -timeout 120m -run Campaign -v ./daemon/internal/simulation > bin/campaign.log 2>&1; s=$$?; \
	grep -v '^campaign: ' bin/campaign.log; grep '^campaign: ' bin/campaign.log || s=1; exit $$s

bench-match: ## matching beside PCRE2 and Hyperscan in one run (gcc, libpcre2-dev, libhyperscan-dev)
	@mkdir -p bin; $(GO) test -count=1 -tags bench -timeout 20m -run BenchMatch -v ./match > bin/bench-match.log 2>&1; s=$$?; \
	grep -v '^match: ' bin/bench-match.log; grep '^match: ' bin/bench-match.log || s=1; exit $$s

bench-probe: build ## scanning beside nmap, revisits, silent ports, 10,000 peers (root, nmap, ../shared)
	@mkdir -p bin; $(GO) test -count=1 -tags bench -timeout 60m -run BenchProbe -v ./daemon/probebench > bin/bench-probe.log 2>&1; s=$$?; \
	grep -v '^probe: ' bin/bench-probe.log; grep '^probe: ' bin/bench-probe.log || s=1; exit $$s

bench-sweep: ## packets per second beside masscan, zmap and a bare loop (root, packages of .ci/run)
	@mkdir -p bin; $(GO) test -count=1 -tags bench -timeout 20m -run BenchSweep -v ./capture/sweepbench > bin/bench-sweep.log 2>&1; s=$$?; \
	grep -v '^sweep: ' bin/bench-sweep.log; grep '^sweep: ' bin/bench-sweep.log || s=1; exit $$s

bench-store: ## the store with 100,000 and 1,000,000 services, and the daemon's start on it (SERVICES=n for another)
	@mkdir -p bin; $(GO) test -count=1 -tags bench -timeout 60m -run BenchStore -v ./daemon > bin/bench-store.log 2>&1; s=$$?; \
	grep -v '^store: ' bin/bench-store.log; grep '^store: ' bin/bench-store.log || s=1; exit $$s

promises: build ## hold scans to their promises against the lab: same answers, peers that ban (root, ../shared; half an hour)
	SONDE_STEADY_RUNS=$${SONDE_STEADY_RUNS:-20} $(GO) test -count=1 -v -tags lab -timeout 90m ./daemon/probebench

# How often each of the two campaigns kills: on a usual file system, and on one
# that loses what was not synced (which needs root and a loop device).
KILLS ?= 1000
crash: ## kill the daemon KILLS times, at named points and at any instant, and as often cut the power
	@mkdir -p bin; KILLS=$(KILLS) $(GO) test -count=1 -p 1 -tags faultpoints -timeout 300m -run 'Crash|Killed|PowerCut' \
	  -v ./daemon ./daemon/internal/inventory > bin/crash.log 2>&1; s=$$?; \
	[ $$s = 0 ] && grep -E '^(---|ok)| hit [0-9]+ times| any instant| SKIP|syslog: |changes of services' bin/crash.log || cat bin/crash.log; \
	awk -F'[ =]' '/^TestCrash[A-Za-z]*: kills=/ {k+=$$3; e+=$$5; l+=$$7; d+=$$9; c+=$$11} END \
	  {printf "crash: kills=%d events=%d lost=%d doubled=%d corrupt=%d\n", k, e, l, d, c}' bin/crash.log; exit $$s

crash-part: ## what of it CI runs: 100 kills in two to three minutes
	$(MAKE) crash KILLS=50

# Where sensors run, where people scan from, and where only the libraries do.
PLATFORMS := linux/amd64 linux/arm64 linux/arm linux/riscv64 darwin/arm64 \
  windows/amd64 freebsd/amd64 openbsd/amd64 netbsd/amd64
LIBRARIES := solaris/amd64 illumos/amd64

cross: ## compile for every platform that the design names
	@set -e; for p in $(PLATFORMS); do echo "cross $$p"; \
	  GOOS=$${p%/*} GOARCH=$${p#*/} GOARM=7 $(GO) build -o /dev/null ./daemon; done; \
	for p in $(LIBRARIES); do echo "cross $$p (probes, match)"; \
	  GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./probes/... ./match/...; done

man: build ## write the manual pages to bin/man
	$(BIN) man bin/man

package: ## .deb and .rpm for amd64 and arm64 in bin/package; lintian and rpmlint where they are
	@rm -rf bin/package
	systemd/package/package.sh bin/package amd64 arm64
	@if command -v lintian >/dev/null && command -v rpmlint >/dev/null; then systemd/package/lint.sh bin/package; \
	else echo "lint: left out, as lintian or rpmlint is not there"; fi

foreign: ## run the program of the arm64 package by qemu, as far as that goes (make package; qemu-user-static)
	systemd/package/foreign.sh bin/package

reproducible: ## build the packages of what is committed twice, and compare
	systemd/package/reproduce.sh

appliance: ## boot a Debian, install the package, and check what it promises (root, debootstrap, systemd-container)
	systemd/appliance/appliance.sh || [ $$? = 77 ] # which says what this machine lacks

check: build cross lint race fuzz integration crash-part demo lab package reproducible appliance ## everything that CI runs

clean: ## remove what the build made
	rm -rf bin
