// SPDX-License-Identifier: MIT

//go:build linux && cgo && zcrx_system

package core

// #cgo pkg-config: zcrx
import "C"
