// SPDX-License-Identifier: MIT

package zcrx

import "syscall"

func threadID() int { return syscall.Gettid() }
