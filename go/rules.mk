# SPDX-License-Identifier: MIT
# The Go package. Where Go is too old its tests say so and pass, but not under CI.
GO         := go
GO_PACKAGE := ./go/...
GO_EXECUTOR := $(B)/go/conformance
GO_CONFORMANCE := $(B)/tests/conformance --executor $(GO_EXECUTOR)
# $(call with_go,COMMANDS): one shell for all, skipped where go/have-go says so.
with_go     = $(Q)GO=$(GO) go/have-go || { test $$? = 1; exit; }; set -ex; $(1)

# On the NIC rig: the package's tests on one driver, what the sender and the kernel have most part in on the other.
GO_NIC_SCENARIOS := size-1mib,release-at-end-threads,end-with-buffers-out,reset-mid-stream,limit-mid-buffer,\
remove-mid-stream,close-fd-reuse,close-held-threads,iterate-left,area-max-dma-buf,\
group-1,group-4-listen,group-4-add-4-threads,group-shared-4-listen

.PHONY: go $(GO_EXECUTOR) test-go test-go-conformance test-go-uml test-go-nic test-go-packaging fuzz-go bench-go lint-go \
	staticcheck-go
go: $(GO_EXECUTOR) ## build the Go package, its examples and its conformance executor
	$(GO) build $(GO_PACKAGE)
	$(GO) build -o $(B)/go/ ./go/examples/...

$(GO_EXECUTOR):
	$(Q)mkdir -p $(@D)
	$(GO) build -o $@ ./go/internal/conformance

test-go: ## run the Go tests, also under the race detector and without cgo
	$(call with_go,$(GO) test -count=1 -timeout 300s $(GO_PACKAGE); \
		$(GO) test -count=1 -timeout 300s -race -short ./go; \
		CGO_ENABLED=0 $(GO) test -count=1 -run TestWithoutTheLibrary ./go)

test-go-conformance: ## run the conformance scenarios through Go on engines multishot and recv
	$(call with_go,$(MAKE) $(GO_EXECUTOR) $(B)/tests/conformance; \
		tests/conformance/test-driver $(B)/tests $(GO_EXECUTOR); $(GO_CONFORMANCE) --jobs 4 --seconds 120 --fast)

test-go-uml: ## run the Go tests and the scenarios in UML on engine zcrx-nodev
	$(call with_go,$(MAKE) $(GO_EXECUTOR) $(B)/tests/conformance; $(GO) test -c -o $(B)/go/zcrx.test ./go; \
		tests/rig/vm/uml --timeout 900 --check-dmesg --env ZRX_ENGINES=zcrx-nodev -- sh -ec \
			'$(B)/go/zcrx.test -test.short -test.timeout 300s; $(GO_CONFORMANCE) --engine zcrx-nodev --jobs 3 --seconds 120 --fast')

test-go-nic: ## run the Go tests and some scenarios on modelled NICs, by engine zcrx
	$(call with_go,$(MAKE) $(GO_EXECUTOR) $(B)/tests/conformance; $(GO) test -c -tags nicrig -o $(B)/go/nic.test ./go; \
		tests/rig/nicmodel/rig --driver bnxt --kernel 7.2 --rx-ring 128 --timeout 500 -- \
			env ZRX_ENGINES=zcrx $(CURDIR)/$(B)/go/nic.test -test.short -test.timeout 400s; \
		tests/rig/nicmodel/rig --driver gve --kernel 7.2 --timeout 400 -- \
			$(GO_CONFORMANCE) --engine zcrx --seconds 120 --scenario '$(subst $() ,,$(GO_NIC_SCENARIOS))')

# The rival is compiled as the package compiles the core.
$(B)/go/bench-core: go/internal/bench/testdata/core.c bindings/amalgamation/zcrx.c
	$(Q)mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE -O2 -g -Ibindings/amalgamation -o $@ $^ $(LDLIBS)

bench-go: $(B)/go/bench-core ## measure the Go package against the C core and net.Conn: build/bench/go.json
	$(GO) build -o $(B)/go/bench ./go/internal/bench
	$(B)/go/bench -core $(B)/go/bench-core -output $(B)/bench/go.json

test-go-packaging: ## build and use the Go module from outside: replaced, vendored, against an installed library
	$(call with_go,go/test-packaging)

fuzz-go: ## fuzz the orders of release for 30 seconds
	$(GO) test -fuzz FuzzReleaseOrder -fuzztime 30s ./go

lint-go: staticcheck-go ## check the Go sources
	$(Q)test -x "$$(command -v shellcheck)" && shellcheck go/have-go go/test-packaging
	$(Q)mkdir -p $(B)/go
	$(call with_go,test -z "$$(gofmt -l go)" || { gofmt -l go; exit 1; }; \
		$(GO) vet $(GO_PACKAGE); \
		$(GO) vet -tags nicrig ./go; \
		CGO_ENABLED=0 $(GO) vet $(GO_PACKAGE); \
		GOOS=darwin $(GO) vet $(GO_PACKAGE))

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

staticcheck-go: ## run staticcheck on the Go sources (fetched as a Go module)
	$(call with_go,GOBIN=$(abspath $(B))/go $(GO) install $(STATICCHECK) || \
			{ echo "skip: $(STATICCHECK) cannot be had"; exit 0; }; \
		$(B)/go/staticcheck $(GO_PACKAGE); $(B)/go/staticcheck -tags nicrig ./go)
