// SPDX-License-Identifier: MIT

//go:build linux && !cgo

package core

// zcrx is a C library: build with CGO_ENABLED=1, a C compiler, and the headers of liburing and libmnl
// (Debian: apt install gcc pkg-config liburing-dev libmnl-dev). The name below is the error message.
var _ = zcrx_needs_cgo__set_CGO_ENABLED_1_and_install_gcc_liburing_dev_libmnl_dev
