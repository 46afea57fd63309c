# What a developer and CI run. "make run" shows the filter at work, "make test"
# tests everything; each part prints its time. Downloads are kept outside the
# clone, in Go's module cache and in $(CACHE).

CACHE       := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/o2n-milter
STATICCHECK := $(CACHE)/bin/staticcheck-v0.8.2
GOSEC       := $(CACHE)/bin/gosec-v2.30.0
GOVULNCHECK := $(CACHE)/bin/govulncheck-v1.9.0
VERSION     := $(shell git describe --always --dirty 2>/dev/null || echo dev)
# Of tests that need other programs, and of what they build. A comma would end an argument of "call".
TAGS        := mta,browser,nspawn,chaos
export CGO_ENABLED ?= 1

.PHONY: build run test check gosec govulncheck packages unit e2e faults simulation soak campaign fuzz bench bench-day accuracy man deb deb-check deb-reproducible test-package clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/o2n-milter ./cmd/o2n-milter

run: build
	CGO_ENABLED=0 go run ./tests/firstrun

# timed prints what a part of the tests is, and how long it took.
timed = @start=$$(date +%s); echo "== $(1)"; if $(2); then echo "== $(1): $$(($$(date +%s)-start)) s"; else echo "== $(1): FAILED after $$(($$(date +%s)-start)) s"; exit 1; fi

test: check gosec govulncheck unit e2e

check: $(STATICCHECK)
	$(call timed,gofmt and go vet,! gofmt -l . | grep . && go vet ./... && go vet -tags $(TAGS) ./...)
	$(call timed,staticcheck,$(STATICCHECK) ./... && $(STATICCHECK) -tags $(TAGS) ./...)

# What gosec finds and is no hole stands in tests/gosec.json, with the reason.
gosec: $(GOSEC)
	$(call timed,gosec,$(GOSEC) -quiet -conf tests/gosec.json ./...)

govulncheck: $(GOVULNCHECK)
	$(call timed,govulncheck,tests/govulncheck $(GOVULNCHECK))

packages:
	$(call timed,packages that the tests need,tests/install)

unit: packages
	@for d in hostile corpus; do [ -d ../shared/$$d ] || echo "== SKIPPED: ../shared/$$d is not there, so its mail is not tried"; done
	$(call timed,unit tests with the race detector,go test -race -shuffle=on ./...)

e2e: build packages
	$(call timed,end to end: Postfix and Sendmail,tests/isolated go test -count=1 -tags mta -timeout 20m ./tests ./tests/mta ./tests/dialogs ./tests/bombs ./tests/hold ./tests/week)
	$(call timed,faults in short,$(FAULT_RUN))
	$(call timed,journeys in a browser and behind Postfix,tests/isolated go test -count=1 -tags browser -timeout 10m ./tests/browser)
	$(call timed,first run,CGO_ENABLED=0 go run ./tests/firstrun -once -dir "$$(mktemp -d)")
	$(call timed,the package in a system of its own,tests/package/run short)

$(STATICCHECK):
	$(call timed,build staticcheck,GOBIN=$(CACHE)/bin go install honnef.co/go/tools/cmd/staticcheck@v0.8.2 && mv $(CACHE)/bin/staticcheck $@)

$(GOSEC):
	$(call timed,build gosec,GOBIN=$(CACHE)/bin go install github.com/securego/gosec/v2/cmd/gosec@v2.30.0 && mv $(CACHE)/bin/gosec $@)

$(GOVULNCHECK):
	$(call timed,build govulncheck,GOBIN=$(CACHE)/bin go install golang.org/x/vuln/cmd/govulncheck@v1.9.0 && mv $(CACHE)/bin/govulncheck $@)

# FAULT_RUN drives the daemon while its store is killed, filled up and damaged.
FAULT_RUN := sh -c 'go test -count=1 -tags mta -timeout 30m -v ./tests/faults >bin/faults.log 2>&1 || { grep -v msg=message bin/faults.log; exit 1; }; grep "^== faults" bin/faults.log'

# The same in full: some ten minutes.
faults: build packages
	$(call timed,faults in full,FAULTS=long $(FAULT_RUN))

# A million events in simulated time, held against a model: some four minutes on one core. A failure prints the seed
# and the episode to play again (docs/campaign.md).
simulation:
	$(call timed,a million events in simulated time,O2N_CAMPAIGN=long go test -count=1 -timeout 1h -run '^TestInMemory$$' ./tests/simulation)

# The daemon under mail of all kinds, measured by the minute: make soak SOAK=5m
SOAK ?= 2h
soak: packages
	$(call timed,soak of $(SOAK),SOAK=$(SOAK) tests/isolated go test -count=1 -tags mta -timeout 0 -v ./tests/soak)

# All that hunts for holes, in full, and a soak of five minutes: half an hour on two cores. CAMPAIGN='-write docs/campaign.md'
# keeps the tables; -only REGEXP, -fuzz 1m: go run ./tests/campaign/run -help
campaign: build packages
	$(call timed,campaign,go run ./tests/campaign/run $(CAMPAIGN))

# Fuzz every target for a while: make fuzz FUZZTIME=5m
FUZZTIME ?= 1m
fuzz:
	tests/fuzz $(FUZZTIME)

# How well bulk mail is recognised, and how seldom honest mail is taken for it: writes
# the tables of docs/accuracy.md. A minute.
accuracy:
	@[ -d ../shared/corpus ] || echo "== SKIPPED: ../shared/corpus is not there, so real honest mail is not judged"
	$(call timed,accuracy of bulk recognition,go run ./tests/accuracy -write docs/accuracy.md)

# The manual pages, as a package installs them: the same from the same commit, on whatever
# day they are made.
MAN_DIR           ?= bin/man
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
man:
	@mkdir -p $(MAN_DIR)
	@for pod in docs/man/*.pod; do page=$$(basename $$pod .pod); \
		pod2man --utf8 --errors=die --name=$$(echo $${page%.*} | tr a-z A-Z) --section=$${page##*.} --center=o2n-milter \
			--release='$(VERSION)' --date=$$(date -u -d @$(SOURCE_DATE_EPOCH) +%F) $$pod $(MAN_DIR)/$$page || exit 1; done

# The Debian package, in bin/deb: make deb ARCH=arm64
ARCH ?= $(shell dpkg --print-architecture 2>/dev/null)
deb:
	@packaging/install
	$(call timed,Debian package,packaging/build-deb $(ARCH))

# What is in bin/deb, and that another build of HEAD gives the same bytes. Two minutes,
# piuparts as root only.
deb-check: deb
	$(call timed,lintian,packaging/check-deb lintian)
	$(call timed,piuparts,packaging/check-deb piuparts)
	@$(MAKE) --no-print-directory deb-reproducible
deb-reproducible:
	$(call timed,the same package again,packaging/check-deb reproducible)

# The package from installation to purge, in systems of its own where systemd is the first process, and under load
# through restarts, upgrades and kill -9. Ten minutes; writes docs/package-transcript.md.
test-package: deb-check
	$(call timed,the package in systems of its own,tests/package/run full)

# What a message costs, beside a filter that does nothing: a quarter of an hour on a machine that has nothing else to do.
# Writes the tables and charts of docs/performance.md with make bench BENCH='-write docs/performance.md'; -only, -rounds
# and so on: go run ./tests/bench -help
BENCH_RUN = CGO_ENABLED=0 go build -o bin/bench ./tests/bench && go mod download && CGO_ENABLED=0 tests/isolated bin/bench
bench: packages
	$(call timed,benchmarks,$(BENCH_RUN) $(BENCH))

# A day's traffic of a million messages in simulated time: some twenty minutes.
bench-day:
	$(call timed,a simulated day,$(BENCH_RUN) -only day $(BENCH))

clean:
	rm -rf bin run
