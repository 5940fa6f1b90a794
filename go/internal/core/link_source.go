// SPDX-License-Identifier: MIT

//go:build linux && cgo && !zcrx_system

package core

// #cgo CFLAGS: -I${SRCDIR}/../../../bindings/amalgamation
import "C"

import _ "github.com/zcrx/zcrx/bindings/amalgamation"
