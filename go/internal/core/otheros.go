// SPDX-License-Identifier: MIT

//go:build !linux

package core

const (
	refusalMessage = "zcrx is for Linux"
	refusalHint    = "read the connection by Read"
)
