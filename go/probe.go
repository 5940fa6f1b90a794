// SPDX-License-Identifier: MIT

package zcrx

import (
	"fmt"
	"syscall"

	"github.com/zcrx/zcrx/go/internal/core"
)

// CheckState is how a precondition stands.
type CheckState uint32

const (
	CheckOK      CheckState = core.CheckOK
	CheckMissing CheckState = core.CheckMissing // zero-copy cannot work without it
	CheckWarn    CheckState = core.CheckWarn    // works, but worse than it could
	CheckUnknown CheckState = core.CheckUnknown // cannot be told from here
)

func (s CheckState) String() string {
	switch s {
	case CheckOK:
		return "ok"
	case CheckMissing:
		return "missing"
	case CheckWarn:
		return "warn"
	}
	return "unknown"
}

// Check is one precondition.
type Check struct {
	State  CheckState
	Name   string // short and stable: "kernel", "cap_net_admin", "io_uring", "memlock", ...
	Detail string // what is, in words
	Hint   string // the command that mends it; empty if the state is ok
}

// Capabilities are what this kernel lets this process do.
type Capabilities struct {
	Engines   []Engine // that can be opened here; EngineZCRX: given a capable interface
	Features  Feature  // that the kernel has
	PageBytes int
	Kernel    string           // its version, for display only
	Refused   map[Engine]error // why the other engines cannot be opened
	Checks    []Check
}

// Probe asks the kernel what this process, with its rights and limits, can do. It changes nothing.
func Probe() (*Capabilities, error) {
	c, code := core.Probe()
	if code != 0 {
		return nil, &OpError{Op: opProbe, Errno: syscall.Errno(-code)}
	}
	out := &Capabilities{
		Features:  Feature(c.Features),
		PageBytes: int(c.PageBytes),
		Kernel:    fmt.Sprintf("%d.%d.%d", c.KernelVersion>>16, c.KernelVersion>>8&0xff, c.KernelVersion&0xff),
		Refused:   newRefused(c.Refused),
		Checks:    newChecks(c.Checks),
	}
	for engine := EngineAuto + 1; engine < core.EngineCount; engine++ {
		if c.Engines>>engine&1 != 0 {
			out.Engines = append(out.Engines, engine)
		}
	}
	return out, nil
}

func newChecks(checks []core.Check) (out []Check) {
	for _, check := range checks {
		out = append(out, Check{CheckState(check.State), check.Name, check.Detail, check.Hint})
	}
	return out
}

// Version is that of the C library in use.
func Version() string { return core.Version() }
