// SPDX-License-Identifier: MIT

package zcrx

import (
	"fmt"
	"syscall"

	"github.com/zcrx/zcrx/go/internal/core"
)

// Probe asks the kernel what this process, with its rights and limits, can do. It changes nothing.
func Probe() (*Capabilities, error) {
	c, code := core.Probe()
	if code != 0 {
		return nil, &OpError{Op: opProbe, Errno: syscall.Errno(-code)}
	}
	out := newCapabilities(c)
	return &out, nil
}

func engineSet(bits uint32) (engines []Engine) {
	for engine := EngineAuto + 1; engine < core.EngineCount; engine++ {
		if bits>>engine&1 != 0 {
			engines = append(engines, engine)
		}
	}
	return engines
}

func kernelVersion(number uint32) string {
	return fmt.Sprintf("%d.%d.%d", number>>16, number>>8&0xff, number&0xff)
}

func newChecks(checks []core.Check) (out []Check) {
	for _, check := range checks {
		out = append(out, newCheck(check))
	}
	return out
}

// Version is that of the C library in use.
func Version() string { return core.Version() }
