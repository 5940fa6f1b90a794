// SPDX-License-Identifier: MIT

//go:build linux && cgo

// Package amalgamation compiles the C core into the program. Package zcrx calls it; nothing else should.
//
// It is a package of its own because the build tag zcrx_system leaves it out as a whole, and because
// go mod vendor copies the C files of packages only.
package amalgamation

// #cgo CFLAGS: -std=c11 -O2 -fvisibility=hidden
// #cgo pkg-config: liburing libmnl
// #cgo LDFLAGS: -lpthread
import "C"
