// SPDX-License-Identifier: MIT

package zcrx

import "syscall"

func threadID() int { return syscall.Gettid() }

func onMainThread() bool { return syscall.Gettid() == syscall.Getpid() }
