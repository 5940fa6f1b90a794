// SPDX-License-Identifier: MIT

//go:build !linux

package zcrx

const supported = false

func threadID() int { return -1 }
