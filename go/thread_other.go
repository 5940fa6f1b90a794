// SPDX-License-Identifier: MIT

//go:build !linux

package zcrx

func threadID() int { return -1 }

func onMainThread() bool { return false }
