// SPDX-License-Identifier: MIT

package zcrx

import "syscall"

const supported = true

func threadID() int { return syscall.Gettid() }
