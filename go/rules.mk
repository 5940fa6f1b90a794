# SPDX-License-Identifier: MIT
GO         := go
GO_PACKAGE := ./go/...
GO_CORE    := go/internal/libzcrx

.PHONY: go test-go lint-go
go: ## build the Go package and its examples
	$(Q)mkdir -p $(B)/go
	$(GO) build $(GO_PACKAGE)
	$(GO) build -o $(B)/go/ ./go/examples/...

test-go: ## run the Go tests, also under the race detector
	$(GO) test $(GO_PACKAGE)
	$(GO) test -race $(GO_PACKAGE)

lint-go: ## check the Go sources and what is generated in them
	bindings/amalgamate --check $(GO_CORE)
	cd go/internal/core && $(GO) run constants_generate.go ../libzcrx/zcrx.h $(abspath $(B))/go-constants.go
	cmp go/internal/core/constants.go $(B)/go-constants.go
	test -z "$$(gofmt -l go)" || { gofmt -l go; exit 1; }
	$(GO) vet $(GO_PACKAGE)
	GOOS=darwin $(GO) vet $(GO_PACKAGE)
