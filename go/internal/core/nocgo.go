// SPDX-License-Identifier: MIT

//go:build linux && !cgo

package core

const (
	refusalMessage = "this program was built without cgo, and so without the C library that zcrx is"
	refusalHint    = "build it with CGO_ENABLED=1, a C compiler, liburing and libmnl " +
		"(Debian: apt install gcc pkg-config liburing-dev libmnl-dev), or read the connection by Read"
)
